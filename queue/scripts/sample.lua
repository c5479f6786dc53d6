-- How full queues are, by what Redis knows without counting.
--
-- KEYS: the keys of each queue, one queue after the other. ARGV: how many keys a queue has. Gives for each queue the
-- entries of its stream, those among them that workers hold, delayed jobs, dead letters, and for how long (ms) the
-- oldest entry that nobody has been given has been there, which is -1 where there is none; -1, too, for what cannot be
-- read.

local width = tonumber(ARGV[1])
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function count(command, key)
    local number = redis.pcall(command, key)
    return type(number) == 'number' and number or -1
end

-- What Redis says of weft's group, or nil.
local function find_group(stream)
    local groups = redis.pcall('XINFO', 'GROUPS', stream)
    for i = 1, #groups do
        local group = flat_map(groups[i])
        if group.name == GROUP then
            return group
        end
    end
    return nil
end

local function age_after(stream, entry)
    local found = redis.pcall('XRANGE', stream, '(' .. entry, '+', 'COUNT', 1)
    local since = found[1] and tonumber(string.match(found[1][1], '^%d+'))
    return since and math.max(now - since, 0) or -1
end

local samples = {}
for first = 1, #KEYS, width do
    local stream = KEYS[first]
    local group = find_group(stream)
    samples[#samples + 1] = count('XLEN', stream)
    samples[#samples + 1] = group and group.pending or 0
    samples[#samples + 1] = count('ZCARD', KEYS[first + 1])
    samples[#samples + 1] = count('XLEN', KEYS[first + 2])
    samples[#samples + 1] = age_after(stream, group and group['last-delivered-id'] or '0-0')
end
return samples
