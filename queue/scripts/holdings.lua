-- Says what Redis knows of a consumer that does not answer: for how long it has not been heard of (ms; -1: there is no
-- such consumer any more), and the jobs that it holds, the oldest entries first.
--
-- KEYS: the queue's keys. ARGV: the consumer, how many jobs at the most, the entry to begin with ('-': the first). Gives
-- for each job its ID, its type, the number of its attempt, and for how long it has been held (ms); then the entry to go on
-- with, or '' where there are no more.

local stream, consumer, max, first = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local BYTES_MAX = 256 * 1024 -- that are read; a single message may have more
local read = 0
start_clock()

local silent_ms = -1
local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, GROUP)
for i = 1, #consumers do
    local found = flat_map(consumers[i])
    if found['name'] == consumer then
        silent_ms = found['idle']
    end
end

local held = {}
local pending = redis.pcall('XPENDING', stream, GROUP, first, '+', max, consumer)
for i = 1, #pending do
    local entry, held_ms = pending[i][1], pending[i][3]
    if i > 1 and (read >= BYTES_MAX or is_late()) then
        return { silent_ms, held, entry }
    end
    local fields = read_entry(stream, entry) or {}
    read = read + count_bytes(fields)
    local id = message_id(entry, fields)
    local charged = tonumber(find_field(fields, 'weft.attempt') or 0) or 0
    held[i] = { id, find_field(fields, 'type') or '', charged + 1, held_ms }
end
return { silent_ms, held, '' }
