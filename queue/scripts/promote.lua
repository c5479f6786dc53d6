-- Puts delayed jobs that have come due into their queues, and forgets what was to be cancelled long ago.
--
-- KEYS: the keys of each queue, one queue after the other. ARGV: how many keys a queue has, the time now (ms), how many
-- jobs of a queue at most. Gives the time when to come again (ms): when the next job is due, which is in the past where
-- there are more than that, or -1 for none; and what went wrong in one of the queues, or nothing.

local width, now, limit = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local again, problem = -1, ''

local function promote_one(stream, delayed, bodies, member)
    local body = call('HGET', bodies, member)
    if body then
        call('XADD', stream, '*', unpack(cmsgpack.unpack(body)))
        call('HDEL', bodies, member)
    end
    call('ZREM', delayed, member)
end

-- Gives when the next job is due, or nil.
local function promote_queue(stream, delayed, bodies, cancel)
    redis.pcall('ZREMRANGEBYSCORE', cancel, '-inf', now)
    for _, member in ipairs(call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, limit)) do
        promote_one(stream, delayed, bodies, member)
    end
    return tonumber(call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2])
end

for first = 1, #KEYS, width do
    local ok, result = pcall(promote_queue, KEYS[first], KEYS[first + 1], KEYS[first + 3], KEYS[first + 6])
    if not ok then
        -- One queue's trouble is not to hold up the others.
        problem = misfit(KEYS[first + 1], 'zset') or misfit(KEYS[first + 3], 'hash') or misfit(KEYS[first], 'stream')
            or words_of(result)
    elseif result and (again < 0 or result < again) then
        again = result
    end
end
return { string.format('%.0f', again), problem }
