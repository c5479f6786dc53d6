-- Cancels a job. One that waits is taken off and reported as cancelled. Any other is noted in `cancel`: there its worker
-- sees it, or the worker that it comes to next.
--
-- KEYS: the queue's keys. ARGV: whether to cancel ('1') or only to look ('0'), the job ID, its entry in the stream ('':
-- not known), for how long it is noted (ms), the time now and when it was enqueued, both as reports have them, how long
-- the report is kept (ms), how many are kept.
--
-- Gives where the job was, whether it is noted now, and when it was enqueued (ms; '' for not known). Where it was:
--   delayed, queued        it waited, so that it has been cancelled if that was to be done
--   running                a worker has its entry
--   moving                 by its report it has not ended, and it may be in the stream under an entry that is not known
--   done, dead, cancelled, duplicate  it has ended so
--   unknown                nothing is known of it; but its entry may be

local stream, delayed, dead, bodies, done, failed, cancel = unpack(KEYS)
local act, id, entry = ARGV[1] == '1', ARGV[2], ARGV[3]
local noted_for, now, enqueued_at = tonumber(ARGV[4]), ARGV[5], ARGV[6]
local keep_done, keep_done_max = ARGV[7], tonumber(ARGV[8])
local report = stream .. ':job:' .. id

local ENDED = { done = true, dead = true, cancelled = true, duplicate = true }

-- ---- Looking ----

local function read_delayed()
    local body = call('HGET', bodies, id)
    return body and cmsgpack.unpack(body)
end

-- A job without an ID of its own has that of its entry.
local function find_entry()
    if entry ~= '' then
        return read_entry(stream, entry)
    end
    local found = string.match(id, '^%d+%-%d+$') and redis.pcall('XRANGE', stream, id, id)
    if not found or not found[1] or found[1][1] ~= id then
        return nil
    end
    local fields = found[1][2]
    if message_id(id, fields) ~= id then
        return nil
    end
    entry = id
    return fields
end

-- Where there is no group yet, nothing is pending.
local function is_pending()
    return redis.pcall('XPENDING', stream, GROUP, entry, entry, 1)[1] ~= nil
end

local function reported_state()
    local state = redis.pcall('HGET', report, 'state')
    return type(state) == 'string' and state
end

-- Gives where the job is, and its fields if they are at hand.
local function find()
    local fields = read_delayed()
    if fields then
        return 'delayed', fields
    end
    fields = find_entry()
    if fields then
        return is_pending() and 'running' or 'queued', fields
    end
    local state = reported_state()
    if not state then
        return 'unknown', nil
    end
    return ENDED[state] and state or 'moving', nil
end

-- ---- Cancelling ----

-- What the report says of earlier attempts stays; what it says of an earlier job of the same ID does not.
local function write_report(fields)
    if keep_done == '0' then
        remove_report(stream, id)
        return
    end
    if ENDED[reported_state()] then
        remove_report(stream, id)
    end
    if call('EXISTS', report) == 0 then
        local charged = tonumber(find_field(fields, 'weft.attempt') or 0) or 0
        call('HSET', report, 'attempt', string.format('%.0f', charged + 1), 'enqueued_at', enqueued_at)
        if find_field(fields, 'type') then
            call('HSET', report, 'type', find_field(fields, 'type'))
        end
    end
    call('HSET', report, 'state', 'cancelled', 'finished_at', now, 'error', 'cancelled')
    call('PEXPIRE', report, keep_done)
    local problem = bound_reports(stream, done, { id }, keep_done_max, keep_done)
    if problem then
        error(problem.err)
    end
end

-- The later of Redis's clock and of the stream's, which goes on where Redis's was set back.
local function last_time()
    local time = call('TIME')
    local last = time[1] * 1000 + math.floor(time[2] / 1000)
    local entry_id = flat_map(redis.pcall('XINFO', 'STREAM', stream))['last-generated-id'] or '0'
    return math.max(last, tonumber(string.match(entry_id, '^%d+')))
end

local cancellations = {}

cancellations['delayed'] = function(fields)
    write_report(fields)
    free_lock(find_lock(stream, fields, 'delayed ' .. id))
    call('ZREM', delayed, id)
    call('HDEL', bodies, id)
    call('ZREM', cancel, id)
end

cancellations['queued'] = function(fields)
    write_report(fields)
    free_lock(find_lock(stream, fields, entry .. ' ' .. id))
    call('XDEL', stream, entry)
    call('ZREM', cancel, id)
end

local function note()
    call('ZADD', cancel, string.format('%.0f', last_time() + noted_for), id)
    note_change(stream, KEYS[9])
end

local where, fields = find()
if act then
    defy_full_memory(cancel)
    local act_on = cancellations[where] or note
    act_on(fields)
end
local enqueued_ms = fields and (find_field(fields, 'weft.enqueued_at') or string.match(entry, '^%d+')) or ''
return { where, call('ZSCORE', cancel, id) and 1 or 0, enqueued_ms }
