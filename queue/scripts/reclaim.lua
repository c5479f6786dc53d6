-- Gives back to the queue a slice of the jobs that a dead consumer held, and deletes the consumer once it holds nothing.
-- Whoever calls it, and however often, each job is either still held by the consumer or back in the queue.
--
-- KEYS: the queue's keys. ARGV: the consumer; for how long it must not have been heard of (ms), 0 where that does not
-- matter. Gives how many jobs there were, and whether to come again for more (1), or not (0): it has been deleted, or
-- heard of.

local stream, consumer, silence = KEYS[1], ARGV[1], tonumber(ARGV[2])
local PAGE = 50
local ENTRIES_MAX = 500       -- a slice
local BYTES_MAX = 256 * 1024  -- that are copied; a single message may have more
local count, copied, looked = 0, 0, 0

-- What a message needs to stay the same job under another entry's ID.
local function complete(fields, entry, lock)
    local given = {}
    for i = 1, #fields, 2 do
        given[fields[i]] = true
        copied = copied + #fields[i] + #fields[i + 1]
    end
    if not given['weft.id'] and not given['id'] then
        append(fields, 'weft.id', entry)
    end
    if not given['weft.enqueued_at'] then
        append(fields, 'weft.enqueued_at', string.match(entry, '^%d+'))
    end
    if lock and not given['weft.unique'] then
        append(fields, 'weft.unique', '1')
    end
end

local function give_back(entry)
    local fields = read_entry(stream, entry)
    if fields then
        fields = shorten(fields)
        local id = message_id(entry, fields)
        local lock = find_lock(stream, fields, entry .. ' ' .. id)
        complete(fields, entry, lock)
        pass_lock(lock, fields, call('XADD', stream, '*', unpack(fields)) .. ' ' .. id, 0)
        count = count + 1
    end
    call('XACK', stream, GROUP, entry)
    call('XDEL', stream, entry)
end

-- It may have come back since somebody looked.
local function is_silent()
    for _, fields in ipairs(call('XINFO', 'CONSUMERS', stream, GROUP)) do
        local found = flat_map(fields)
        if found.name == consumer then
            return found.idle >= silence
        end
    end
    return false
end

local function is_full()
    return looked >= ENTRIES_MAX or copied >= BYTES_MAX or is_late()
end

local held = redis.pcall('XPENDING', stream, GROUP, '-', '+', PAGE, consumer)
if held.err then
    -- Without a group there are no consumers either.
    return string.match(held.err, '^%-?NOGROUP') and { 0, 0 } or held
end
if silence > 0 and not is_silent() then
    return { 0, 0 }
end
defy_full_memory(KEYS[7])
start_clock()
while #held > 0 do
    for _, pending in ipairs(held) do
        if looked > 0 and is_full() then
            return { count, 1 }
        end
        give_back(pending[1])
        looked = looked + 1
    end
    held = call('XPENDING', stream, GROUP, '-', '+', PAGE, consumer)
end
call('XGROUP', 'DELCONSUMER', stream, GROUP, consumer)
return { count, 0 }
