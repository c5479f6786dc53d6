-- Puts dead letters back into the queue as the messages that they were, under the same job IDs and with all their
-- attempts before them. The reports that they are dead go.
--
-- KEYS: the queue's keys. ARGV: the first and the last letter, how many at most. Gives how many there were, which may
-- be fewer than there are: none means that there are no more.

local stream, _, dead, _, _, failed = unpack(KEYS)
local first, last, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])

local AND_DUE = { delay = true, at = true }
for name in pairs(OWN) do
    AND_DUE[name] = true
end

-- A job that was tried had waited for as long as it was to; a message that was refused is what it was.
local function read_message(entry, letter)
    local tried = (tonumber(find_field(letter, 'weft.attempts')) or 0) > 0
    local fields = without(letter, tried and AND_DUE or OWN)
    append(fields, 'weft.id', message_id(entry, letter))
    return fields
end

local BYTES_MAX = 256 * 1024 -- that are copied
local count, copied = 0, 0
defy_full_memory(KEYS[7])
start_clock()
while count < limit do
    local found = call('XRANGE', dead, first, last, 'COUNT', 1)[1]
    if not found then
        break
    end
    local entry, letter = found[1], found[2]
    call('XADD', stream, '*', unpack(read_message(entry, letter)))
    remove_letter(stream, dead, failed, entry, message_id(entry, letter))
    count = count + 1
    for i = 1, #letter do
        copied = copied + #letter[i]
    end
    if copied >= BYTES_MAX or is_late() then
        break
    end
end
return count
