-- Says that a node reads its queues, and finds the streams under the prefix that no node reads though there are jobs in
-- them.
--
-- All nodes share the looking: one at a time goes through the keys, a slice a call. Who has the turn keeps it, unless it
-- stays away for too long.
--
-- KEYS: the sorted set of the queues that are read, each by when that was last said (Unix ms); and, under no name, until
-- when the turn is somebody's, which tells whose it is as well. ARGV: the prefix; the turn and the cursor that the last
-- call gave ('' and '0': none); then the node's queues, where it says so again. Gives the turn ('': it is another
-- node's), the cursor to go on with ('0': that was all), and four values for each stream: its key, the jobs in it, those
-- that are delayed, and when its queue was last read (-1: never).

local readers = KEYS[1]
local prefix, turn, cursor = ARGV[1], ARGV[2], ARGV[3]
local READ_MS = 30000 -- a queue of which nobody has said for so long that it is read, is not
local TURN_MS = 10000
local KEPT_MS = 7 * 86400000
local SLICE = '500'   -- keys
local NO_NAME = ''
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function number(value)
    return string.format('%.0f', value)
end

-- Comes first, as defy_full_memory() would.
call('ZREMRANGEBYSCORE', readers, '-inf', number(now - KEPT_MS))
for first = 4, #ARGV, 500 do
    local said = {}
    for i = first, math.min(first + 499, #ARGV) do
        append(said, number(now), ARGV[i])
    end
    call('ZADD', readers, unpack(said))
end
call('PEXPIRE', readers, KEPT_MS)

local held = call('ZSCORE', readers, NO_NAME)
if held ~= turn then
    -- One that ends later than any can was given before the clock was set back.
    local left = held and tonumber(held) - now or 0
    if left > 0 and left <= TURN_MS then
        return { '', '0' }
    end
    cursor = '0'
end
turn = number(now + TURN_MS)
call('ZADD', readers, turn, NO_NAME)

local slice = call('SCAN', cursor, 'MATCH', prefix .. ':*', 'COUNT', SLICE, 'TYPE', 'stream')
local answer = { turn, slice[1] }
local streams, queues = {}, {}
for _, stream in ipairs(slice[2]) do
    local queue, rest = string.match(string.sub(stream, #prefix + 2), '^{([^{}]+)}(.*)$')
    if not queue or rest == '' then -- the others of a queue hold its dead letters
        streams[#streams + 1] = stream
        queues[#queues + 1] = queue or NO_NAME
    end
end
if #streams == 0 then
    return answer
end

-- Almost all streams are those of queues that are read, which then cost nothing more.
local read_at = call('ZMSCORE', readers, unpack(queues))
for i, stream in ipairs(streams) do
    local is_queue = queues[i] ~= NO_NAME
    local read = is_queue and tonumber(read_at[i] or -1) or -1
    if now - read >= READ_MS then
        local jobs = call('XLEN', stream)
        local delayed = is_queue and redis.pcall('ZCARD', stream .. ':delayed') or 0
        delayed = type(delayed) == 'number' and delayed or 0
        if jobs + delayed > 0 then
            append(answer, stream, jobs)
            append(answer, delayed, read)
        end
    end
end
return answer
