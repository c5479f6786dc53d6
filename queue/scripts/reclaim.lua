-- Gives back to the queue all jobs that a dead consumer held, and deletes the consumer.
--
-- KEYS: the queue's keys. ARGV: the consumer; for how long it must not have been heard of (ms), 0 where that does not
-- matter. Gives how many jobs there were.

local stream, consumer, silence = KEYS[1], ARGV[1], tonumber(ARGV[2])
local count = 0

-- What a message needs to stay the same job under another entry's ID.
local function complete(fields, entry)
    local given = {}
    for i = 1, #fields, 2 do
        given[fields[i]] = true
    end
    if not given['weft.id'] and not given['id'] then
        append(fields, 'weft.id', entry)
    end
    if not given['weft.enqueued_at'] then
        append(fields, 'weft.enqueued_at', string.match(entry, '^%d+'))
    end
end

local function give_back(entry)
    local fields = read_entry(stream, entry)
    if fields then
        fields = shorten(fields)
        complete(fields, entry)
        call('XADD', stream, '*', unpack(fields))
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

local held = redis.pcall('XPENDING', stream, GROUP, '-', '+', 100, consumer)
if held.err then
    -- Without a group there are no consumers either.
    return string.match(held.err, '^%-?NOGROUP') and 0 or held
end
if silence > 0 and not is_silent() then
    return 0
end
while #held > 0 do
    for _, pending in ipairs(held) do
        give_back(pending[1])
    end
    held = call('XPENDING', stream, GROUP, '-', '+', 100, consumer)
end
call('XGROUP', 'DELCONSUMER', stream, GROUP, consumer)
return count
