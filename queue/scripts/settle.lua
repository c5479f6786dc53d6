-- Settles a batch of jobs of one queue: takes them off the stream and writes what follows from their outcomes.
--
-- KEYS: the queue's keys. ARGV: this node's name, the consumer, how long a done job's report is kept (ms), how many
-- are kept, the same for dead jobs, how many dead letters are kept, whether the entries of done jobs lie side by side in
-- the stream; then in MessagePack: the entries of jobs that are simply done, the values of their reports (VALUES each),
-- and the other outcomes (a list of tables).
--
-- A job counts only if it is still pending here: what somebody else has settled, or this script in a run whose reply
-- was lost, stays as it is. An outcome that Redis does not let us write (its report's key holds something else) fails
-- alone: its job is pending again. Gives a list of the failures: entry, job ID, Redis's words.

local stream, delayed, dead, bodies, done, failed = unpack(KEYS)
local node, consumer = ARGV[1], ARGV[2]
local keep_done, keep_done_max = ARGV[3], tonumber(ARGV[4])
local keep_failed, keep_failed_max = ARGV[5], tonumber(ARGV[6])
local keep_dead = ARGV[7]
local adjacent = ARGV[8] == '1'
local reports = stream .. ':job:'
local VALUES = 7      -- of a done job
local DONE_FIELDS = 8 -- that its report then has

local gone = {}     -- entries to be deleted from the stream
local failures = {}

local function fail(entry, id, problem)
    if type(problem) == 'table' then
        problem = problem.err
    end
    -- FORCE, because the acknowledgement has removed it from the pending ones.
    call('XCLAIM', stream, GROUP, consumer, 0, entry, 'FORCE', 'JUSTID')
    failures[#failures + 1] = { entry, id, tostring(problem) }
end

-- Keeps at most `max` reports: notes the IDs of new ones and removes the oldest.
local function bound_reports(list, ids, max, ttl)
    if #ids == 0 then
        return
    end
    local length = redis.pcall('RPUSH', list, unpack(ids))
    if type(length) == 'table' then
        failures[#failures + 1] = { '', list, length.err }
        return
    end
    if length > max then
        local old = call('LPOP', list, math.min(length - max, 512))
        for i = 1, #old do
            old[i] = reports .. old[i]
        end
        call('UNLINK', unpack(old))
    end
    call('PEXPIRE', list, ttl)
end

-- Acknowledges all, and gives which of them were still pending: a table of booleans, or nil for all of them. XACK says
-- only how many, but settling somewhere else also deletes, so an entry that exists has not been settled.
local function acknowledge(entries)
    local count = call('XACK', stream, GROUP, unpack(entries))
    if count == #entries then
        return nil
    end
    local pending = {}
    for i = 1, #entries do
        pending[i] = count > 0 and read_entry(stream, entries[i]) ~= nil
    end
    return pending
end

-- The fast path: jobs that are done and have nothing to say but when and how fast.

local DONE_NAMES = { nil, 'type', 'attempt', 'enqueued_at', 'started_at', 'finished_at', 'duration_us' }
local last_key, last_at -- the last report that was written here, and where its values begin
local changes = {}

-- Reports of a batch are much alike: a copy of the last one, time to live included, and what is different about this
-- one cost half of what it costs to make a new one. Gives false if there is a report already.
local function copy_done(key, values, at)
    if redis.pcall('COPY', last_key, key) ~= 1 then
        return false
    end
    local n = 0
    for i = 2, VALUES do
        local value = values[at + i]
        if value ~= values[last_at + i] then
            changes[n + 1], changes[n + 2] = DONE_NAMES[i], value
            n = n + 2
        end
    end
    if n > 0 then
        call('HSET', key, unpack(changes, 1, n))
    end
    return true
end

local function write_done(key, values, at)
    return redis.pcall('HSET', key, 'state', 'done', 'type', values[at + 2], 'attempt', values[at + 3], 'node', node,
        'enqueued_at', values[at + 4], 'started_at', values[at + 5], 'finished_at', values[at + 6],
        'duration_us', values[at + 7])
end

-- Gives an error of Redis as a table, or nil.
local function report_done(id, values, at)
    local key = reports .. id
    if keep_done == '0' then
        call('UNLINK', key)
        return nil
    end
    if not last_key or not copy_done(key, values, at) then
        local added = write_done(key, values, at)
        if type(added) == 'table' then
            return added
        end
        if added ~= DONE_FIELDS then
            -- There was a report already, and some of its fields may be from another run.
            call('DEL', key)
            write_done(key, values, at)
        end
        call('PEXPIRE', key, keep_done)
    end
    last_key, last_at = key, at
    return nil
end

-- Removes whole nodes of the stream, for a small part of what XDEL costs, and gives how many entries these were, the
-- first ones of `entries`. XTRIM knows nothing of pending entries: it must not be asked unless no other entry precedes
-- these or lies between them. What shares its node with others is left to XDEL.
local function trim(entries)
    if #call('XRANGE', stream, '-', '(' .. entries[1], 'COUNT', 1) > 0 then
        return 0
    end
    return call('XTRIM', stream, 'MINID', '~', entries[#entries])
end

local function settle_done(entries, values)
    if #entries == 0 then
        return
    end
    local pending = acknowledge(entries)
    local finished, ids, n = {}, {}, 0
    for i = 1, #entries do
        if not pending or pending[i] then
            local at = (i - 1) * VALUES
            local id, entry = values[at + 1], entries[i]
            local problem = report_done(id, values, at)
            if problem then
                fail(entry, id, problem)
            else
                n = n + 1
                finished[n], ids[n] = entry, id
            end
        end
    end
    local trimmed = adjacent and n == #entries and trim(finished) or 0
    for i = trimmed + 1, n do
        gone[#gone + 1] = finished[i]
    end
    if keep_done ~= '0' then
        bound_reports(done, ids, keep_done_max, keep_done)
    end
end

-- Whatever else may have got that name is not ours to remove.
local function remove_report(job)
    local key = reports .. job.id
    if call('TYPE', key).ok == 'hash' then
        call('DEL', key)
    end
end

local function write_report(job, ttl)
    local key = reports .. job.id
    remove_report(job)
    if tonumber(ttl) > 0 then
        call('HSET', key, unpack(job.report))
        call('PEXPIRE', key, ttl)
    end
end

local OWN = {
    ['weft.id'] = true, ['weft.attempt'] = true, ['weft.enqueued_at'] = true, ['weft.error'] = true,
    ['weft.attempts'] = true, ['weft.node'] = true, ['weft.failed_at'] = true,
}
local OWN_AND_DUE = { delay = true, at = true }
for name in pairs(OWN) do
    OWN_AND_DUE[name] = true
end

-- The message as it goes back, or nil if somebody has deleted it meanwhile.
local function read_message(job, dropped)
    local fields = read_entry(stream, job.entry)
    if not fields then
        return nil
    end
    fields = shorten(without(fields, dropped))
    append(fields, 'weft.id', job.id)
    append(fields, 'weft.attempt', job.attempt)
    append(fields, 'weft.enqueued_at', job.enqueued_at)
    return fields
end

local outcomes = {}

outcomes['done'] = function(job)
    write_report(job, keep_done)
    if keep_done ~= '0' then
        bound_reports(done, { job.id }, keep_done_max, keep_done)
    end
end
outcomes['cancelled'] = outcomes['done']

-- A retry, or a job that is not due yet.
outcomes['delayed'] = function(job)
    local fields = read_message(job, OWN_AND_DUE)
    if not fields then
        remove_report(job)
        return
    end
    write_report(job, job.ttl)
    local body, member = cmsgpack.pack(fields), job.id
    if call('HSETNX', bodies, member, body) == 0 then
        -- Somebody has given two messages the same ID; neither may be lost.
        member = job.id .. ' ' .. job.entry
        call('HSET', bodies, member, body)
    end
    call('ZADD', delayed, job.due, member)
end

outcomes['dead'] = function(job)
    local fields = shorten(without(read_entry(stream, job.entry) or {}, OWN))
    append(fields, 'weft.id', job.id)
    append(fields, 'weft.error', job.error)
    append(fields, 'weft.attempts', job.attempt)
    append(fields, 'weft.node', node)
    append(fields, 'weft.failed_at', job.failed_at)
    write_report(job, keep_failed)
    if keep_failed ~= '0' then
        bound_reports(failed, { job.id }, keep_failed_max, keep_failed)
    end
    call('XADD', dead, 'MAXLEN', keep_dead, '*', unpack(fields))
end

outcomes['returned'] = function(job)
    local fields = read_message(job, OWN)
    if fields then
        call('XADD', stream, '*', unpack(fields))
    end
    remove_report(job)
end

-- An entry that nothing is known of any more.
outcomes['forgotten'] = function() end

local notes = {}

notes['running'] = function(job)
    if #call('XPENDING', stream, GROUP, job.entry, job.entry, 1) > 0 then
        write_report(job, job.ttl)
    end
end

notes['subtasks'] = function(job)
    local key = reports .. job.id
    if call('EXISTS', key) == 1 then
        call('HINCRBY', key, 'subtasks', job.started)
        call('HINCRBY', key, 'subtasks_failed', job.failed)
    end
end

local function settle(job)
    local outcome = outcomes[job.what]
    if not outcome then
        local ok, problem = pcall(notes[job.what], job)
        if not ok then
            failures[#failures + 1] = { '', job.id, type(problem) == 'table' and problem.err or tostring(problem) }
        end
        return
    end
    if call('XACK', stream, GROUP, job.entry) == 0 then
        return
    end
    local ok, problem = pcall(outcome, job)
    if ok then
        gone[#gone + 1] = job.entry
    else
        fail(job.entry, job.id, problem)
    end
end

settle_done(cmsgpack.unpack(ARGV[9]), cmsgpack.unpack(ARGV[10]))
for _, job in ipairs(cmsgpack.unpack(ARGV[11])) do
    settle(job)
end
if #gone > 0 then
    call('XDEL', stream, unpack(gone))
end
return failures
