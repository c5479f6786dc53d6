-- Finds out which of the jobs that a consumer believes to hold are not its own any more.
--
-- KEYS: the queue's keys. ARGV: the consumer, and the entries. Gives those that others have, or will have. Entries that
-- Redis has forgotten (somebody has emptied it, or it was restarted with older data) are not among them: there is
-- nobody else who could run these jobs.

local stream, consumer = KEYS[1], ARGV[1]

local function is_ours(entry)
    return #call('XPENDING', stream, GROUP, entry, entry, 1, consumer) > 0
end

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

local lost = {}
for i = 2, #ARGV do
    local entry = ARGV[i]
    if not is_ours(entry) and (read_entry(stream, entry) or not is_after(entry, deleted)) then
        lost[#lost + 1] = entry
    end
end
return lost
