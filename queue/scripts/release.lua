-- Deletes a consumer that holds nothing any more; one that holds jobs stays, for with it they would be lost.
--
-- KEYS: the queue's keys. ARGV: the consumer.

local stream, consumer = KEYS[1], ARGV[1]

if #call('XPENDING', stream, GROUP, '-', '+', 1, consumer) == 0 then
    call('XGROUP', 'DELCONSUMER', stream, GROUP, consumer)
end
return redis.status_reply('OK')
