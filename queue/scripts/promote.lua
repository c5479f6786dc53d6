-- Puts delayed jobs that have come due into their queues, and forgets what was to be cancelled long ago.
--
-- `due` names the queues that have delayed jobs, each with the time when the first of them is due. It is a hint: where it
-- says too early a time, or names a queue that has none, that is put right here; a queue that it does not name is found by
-- whoever gives its keys all the same.
--
-- KEYS: `due`; the keys of each queue that is looked at, one queue after the other. ARGV: how many keys a queue has; the
-- queues' names. Gives the time now (ms); what went wrong in one of the queues, or nothing; of `due` the names and times
-- that come first; the queue in which it went wrong ('': it was `due`); how many of the queues were looked at; and 1 where
-- Redis's memory is full, so that it takes no new jobs.

local due, width = KEYS[1], tonumber(ARGV[1])
local MOVES = 400            -- a script, shared out among its queues
local BYTES_MAX = 256 * 1024 -- that are copied; a single message may have more
local NAMES_MAX = 32
local REST_MS = 1000         -- of a queue that cannot be written
local count = (#KEYS - 1) / width
local share = math.ceil(MOVES / math.max(count, 1))
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%.0f', now)
local copied, moved, looked, problem, unhealthy = 0, 0, 0, '', ''
start_clock(time)

-- Changes nothing, but could need memory. It has to be the first write.
local refused = redis.pcall('ZADD', due, 'XX', 0, '')
local memory_is_full = type(refused) == 'table' and string.match(words_of(refused), '^%-?OOM') and 1 or 0
defy_full_memory(due)

local function is_full()
    return copied >= BYTES_MAX or is_late()
end

local function promote_one(stream, delayed, bodies, member)
    local body = call('HGET', bodies, member)
    if body then
        local fields = cmsgpack.unpack(body)
        local lock = find_lock(stream, fields, 'delayed ' .. member)
        local entry = call('XADD', stream, '*', unpack(fields))
        pass_lock(lock, fields, entry .. ' ' .. message_id(entry, fields), 0)
        call('HDEL', bodies, member)
        copied = copied + #body
    end
    call('ZREM', delayed, member)
    moved = moved + 1
end

local function promote_queue(name, stream, delayed, bodies, cancel)
    redis.pcall('ZREMRANGEBYSCORE', cancel, '-inf', now_text)
    local first = tonumber(call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2])
    if first and first <= now then
        for _, member in ipairs(call('ZRANGEBYSCORE', delayed, '-inf', now_text, 'LIMIT', 0, share)) do
            if moved > 0 and is_full() then
                break
            end
            promote_one(stream, delayed, bodies, member)
        end
        first = tonumber(call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2])
    end
    if first then
        redis.pcall('ZADD', due, string.format('%.0f', first), name)
    else
        redis.pcall('ZREM', due, name)
    end
end

for i = 1, count do
    local first, name = 2 + (i - 1) * width, ARGV[1 + i]
    if moved > 0 and is_full() then
        break
    end
    looked = i
    local ok, result = pcall(promote_queue, name, KEYS[first], KEYS[first + 1], KEYS[first + 3], KEYS[first + 6])
    if not ok then
        -- One queue's problem is not to hold up the others.
        problem = misfit(KEYS[first + 1], 'zset') or misfit(KEYS[first + 3], 'hash') or misfit(KEYS[first], 'stream')
            or words_of(result)
        unhealthy = name
        redis.pcall('ZADD', due, string.format('%.0f', now + REST_MS), name)
    end
end
local names = redis.pcall('ZRANGE', due, 0, NAMES_MAX - 1, 'WITHSCORES')
if names.err then
    problem, unhealthy = misfit(due, 'zset') or names.err, ''
    names = {}
end
return { now_text, problem, names, unhealthy, looked, memory_is_full }
