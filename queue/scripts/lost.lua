-- Finds out which of the jobs that a consumer believes to hold are not its own any more.
--
-- KEYS: the queue's keys. ARGV: the consumer, and the entries. Gives how many of the entries were looked at, at least
-- one, and those among them that others have, or will have. Entries that Redis has forgotten (somebody has emptied it,
-- or it was restarted with older data) are not among them: there is nobody else who could run these jobs.

local stream, consumer = KEYS[1], ARGV[1]
local BYTES_MAX = 256 * 1024 -- that are read; a single message may have more
local read = 0
start_clock()

local function is_larger(number, other)
    return #number > #other or (#number == #other and number > other)
end

local function is_after(entry, other)
    local ms, sequence = string.match(entry, '^(%d+)%-(%d+)$')
    local other_ms, other_sequence = string.match(other, '^(%d+)%-(%d+)$')
    return is_larger(ms, other_ms) or (ms == other_ms and is_larger(sequence, other_sequence))
end

-- Whoever took a job away has deleted its entry. Redis 6.2 does not tell what was deleted, only what there ever was.
local info = flat_map(call('XINFO', 'STREAM', stream))
local deleted = info['max-deleted-entry-id'] or info['last-generated-id']

-- An entry is read only if nothing else tells whether it is there.
local function is_lost(entry)
    local pending = call('XPENDING', stream, GROUP, entry, entry, 1)[1]
    if pending then
        return pending[2] ~= consumer
    end
    if not is_after(entry, deleted) then
        return true
    end
    local fields = read_entry(stream, entry)
    read = read + count_bytes(fields or {})
    return fields ~= nil
end

local answer = { 0 }
for i = 2, #ARGV do
    if i > 2 and (read >= BYTES_MAX or is_late()) then
        break
    end
    if is_lost(ARGV[i]) then
        answer[#answer + 1] = ARGV[i]
    end
    answer[1] = i - 1
end
return answer
