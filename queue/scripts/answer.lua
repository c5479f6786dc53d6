-- Answers an inquiry of `weft ps`, unless nobody waits for the answer any more.
--
-- KEYS: the queue's keys. ARGV: the inquiry, the consumer, what it has to say, for how long that is kept (ms).

local inquiries = KEYS[8]
local inquiry, consumer, text, kept_for = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if call('ZSCORE', inquiries, inquiry) then
    defy_full_memory(inquiries)
    local answers = inquiries .. ':' .. string.match(inquiry, '^[^ ]+')
    call('HSET', answers, consumer, text)
    call('PEXPIRE', answers, kept_for)
end
return redis.status_reply('OK')
