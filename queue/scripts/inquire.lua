-- Asks all workers what they do. The inquiry is forgotten by itself; of too many at once the oldest is given up.
--
-- KEYS: the queue's keys. ARGV: the inquiry, for how long it is asked (ms), how many there may be. Gives the names of
-- the consumers, as far as there are any.

local stream, inquiries = KEYS[1], KEYS[8]
local inquiry, asked_for, max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

call('ZREMRANGEBYSCORE', inquiries, '-inf', string.format('%.0f', now))
if call('ZCARD', inquiries) >= max then
    call('ZPOPMIN', inquiries)
end
call('ZADD', inquiries, string.format('%.0f', now + asked_for), inquiry)
call('PEXPIRE', inquiries, ARGV[2])
note_change(stream, KEYS[9])

local names = {}
local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, GROUP)
for i = 1, #consumers do
    names[i] = flat_map(consumers[i])['name']
end
return names
