-- Makes delayed jobs due now.
--
-- KEYS: the queue's keys. ARGV: of each job the ID, the entry that it had in the stream, and the time (ms) when it was to
-- come due; one that is due at another time is somebody else's. Gives how many there were.

local stream, delayed = KEYS[1], KEYS[2]
local time = call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local found = 0

defy_full_memory(delayed)
for i = 1, #ARGV, 3 do
    -- As settle.lua names them.
    for _, member in ipairs({ ARGV[i], ARGV[i] .. ' ' .. ARGV[i + 1] }) do
        if tonumber(call('ZSCORE', delayed, member) or nil) == tonumber(ARGV[i + 2]) then
            call('ZADD', delayed, 'LT', now, member)
            found = found + 1
            break
        end
    end
end
if found > 0 then
    redis.pcall('ZADD', KEYS[10], 'LT', now, queue_of(stream, KEYS[9]))
end
return found
