-- Settles a batch of jobs of one queue: takes them off the stream and writes what follows from their outcomes.
--
-- KEYS: the queue's keys. ARGV: this node's name, the consumer, how long a done job's report is kept (ms), how many
-- are kept, the same for dead jobs, how many dead letters are kept, whether the entries of done jobs lie side by side in
-- the stream; then in MessagePack: the entries of jobs that are simply done, the values of their reports (VALUES each),
-- and the other outcomes (a list of tables).
--
-- A job counts only if it is still pending here: what somebody else has settled, or this script in a run whose reply
-- was lost, stays as it is. An outcome that cannot be written (a key holds something that it should not) fails alone:
-- its job is pending again, and nothing of it has been done. Gives a list of the failures: the number of the outcome,
-- counted through both lists (0: all of them), the job's ID, and what is wrong.

local stream, delayed, dead, bodies, done, failed, cancel = unpack(KEYS)
local node, consumer = ARGV[1], ARGV[2]
local keep_done, keep_done_max = ARGV[3], tonumber(ARGV[4])
local keep_failed, keep_failed_max = ARGV[5], tonumber(ARGV[6])
local keep_dead = ARGV[7]
local adjacent = ARGV[8] == '1'
local reports = stream .. ':job:'
local VALUES = 7      -- of a done job
local DONE_FIELDS = 8 -- that its report then has

local earliest      -- when the first of the jobs is due that were delayed here
local gone = {}     -- entries to be deleted from the stream
local failures = {}

local function fail(number, id, problem)
    failures[#failures + 1] = { number, id, words_of(problem) }
end

-- An acknowledgement has removed the entry from the pending ones.
local function make_pending(entry)
    call('XCLAIM', stream, GROUP, consumer, 0, entry, 'FORCE', 'JUSTID')
end

-- Jobs that have ended are not to be cancelled any more.
local marked = call('EXISTS', cancel) == 1
local function unmark(ids)
    if marked and #ids > 0 then
        redis.pcall('ZREM', cancel, unpack(ids))
    end
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

-- Gives what is wrong, or nil.
local function report_done(id, values, at)
    local key = reports .. id
    if keep_done == '0' then
        remove_report(stream, id)
        return nil
    end
    if not last_key or not copy_done(key, values, at) then
        local added = write_done(key, values, at)
        if type(added) == 'table' then
            return misfit(key, 'hash') or added
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
    local problem = keep_done ~= '0' and misfit(done, 'list')
    if problem then
        for i = 1, #entries do
            fail(i, values[(i - 1) * VALUES + 1], problem)
        end
        return
    end
    local pending = acknowledge(entries)
    local finished, ids, n = {}, {}, 0
    for i = 1, #entries do
        if not pending or pending[i] then
            local at = (i - 1) * VALUES
            local id, entry = values[at + 1], entries[i]
            problem = report_done(id, values, at)
            if problem then
                make_pending(entry)
                fail(i, id, problem)
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
    unmark(ids)
    if keep_done ~= '0' then
        bound_reports(stream, done, ids, keep_done_max, keep_done)
    end
end

-- The other outcomes, and notes; `before` is how many outcomes precede them. A function is made anew each time that
-- Redis comes to its definition, and all of these cost more than to settle some jobs: where there is nothing but the
-- fast path, they are not made.
local function settle_others(jobs, before)
    defy_full_memory(cancel)

    local function write_report(job, ttl)
        local key = reports .. job.id
        remove_report(stream, job.id)
        if tonumber(ttl) > 0 then
            call('HSET', key, unpack(job.report))
            call('PEXPIRE', key, ttl)
        end
    end

    local OWN_AND_DUE = { delay = true, at = true }
    for name in pairs(OWN) do
        OWN_AND_DUE[name] = true
    end

    -- As the lock of its unique key has a job that has not been settled.
    local function owner_of(job)
        return job.entry .. ' ' .. job.id
    end

    -- The message as it goes back, or nil if somebody has deleted it meanwhile; and the lock that it has.
    local function read_message(job, dropped)
        local found = read_entry(stream, job.entry)
        if not found then
            return nil
        end
        local fields = shorten(without(found, dropped))
        append(fields, 'weft.id', job.id)
        append(fields, 'weft.attempt', job.attempt)
        append(fields, 'weft.enqueued_at', job.enqueued_at)
        local lock = find_lock(stream, found, owner_of(job))
        if lock or job.unique_held or find_field(found, 'weft.unique') then
            append(fields, 'weft.unique', '1')
        end
        return fields, lock
    end

    local outcomes = {}

    outcomes['done'] = function(job)
        write_report(job, keep_done)
        if keep_done ~= '0' then
            bound_reports(stream, done, { job.id }, keep_done_max, keep_done)
        end
        local lock = job.unique and lock_name(stream, job.unique)
        if lock and redis.pcall('GET', lock) == owner_of(job) then
            call('DEL', lock)
        end
    end
    outcomes['cancelled'] = outcomes['done']

    -- Where both have the same ID, the report is that of the first.
    outcomes['duplicate'] = function(job)
        if job.duplicate_of ~= job.id then
            outcomes['done'](job)
        end
    end

    -- A retry, or a job that is not due yet.
    outcomes['delayed'] = function(job)
        local fields, lock = read_message(job, OWN_AND_DUE)
        if not fields then
            remove_report(stream, job.id)
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
        pass_lock(lock, fields, 'delayed ' .. member, tonumber(job.wait))
        earliest = math.min(earliest or math.huge, tonumber(job.due))
    end

    outcomes['dead'] = function(job)
        local found = read_entry(stream, job.entry) or {}
        local fields = shorten(without(found, OWN))
        append(fields, 'weft.id', job.id)
        append(fields, 'weft.error', job.error)
        append(fields, 'weft.attempts', job.attempt)
        append(fields, 'weft.node', node)
        append(fields, 'weft.failed_at', job.failed_at)
        write_report(job, keep_failed)
        if keep_failed ~= '0' then
            bound_reports(stream, failed, { job.id }, keep_failed_max, keep_failed)
        end
        call('XADD', dead, 'MAXLEN', keep_dead, '*', unpack(fields))
        free_lock(find_lock(stream, found, owner_of(job)))
    end

    outcomes['returned'] = function(job)
        local fields, lock = read_message(job, OWN)
        if fields then
            pass_lock(lock, fields, call('XADD', stream, '*', unpack(fields)) .. ' ' .. job.id, 0)
        end
        remove_report(stream, job.id)
    end

    -- An entry that nothing is known of any more.
    outcomes['forgotten'] = function() end

    local ENDS = { done = true, cancelled = true, dead = true, duplicate = true }

    local notes = {}

    -- What is wrong with the report's key, the outcome will show.
    notes['running'] = function(job)
        if #call('XPENDING', stream, GROUP, job.entry, job.entry, 1) > 0 and not misfit(reports .. job.id, 'hash') then
            write_report(job, job.ttl)
        end
    end

    notes['subtasks'] = function(job)
        local key = reports .. job.id
        if call('TYPE', key).ok == 'hash' then
            call('HINCRBY', key, 'subtasks', job.started)
            call('HINCRBY', key, 'subtasks_failed', job.failed)
        end
    end

    -- What is wrong with the keys that an outcome is written to, or nil: it is to be written in full or not at all.
    local function find_misfit(job)
        local report = reports .. job.id
        if job.what == 'delayed' then
            return misfit(report, 'hash') or misfit(bodies, 'hash') or misfit(delayed, 'zset')
        elseif job.what == 'dead' then
            return misfit(dead, 'stream') or keep_failed ~= '0' and (misfit(report, 'hash') or misfit(failed, 'list'))
        elseif job.what == 'done' or job.what == 'cancelled' or job.what == 'duplicate' then
            return keep_done ~= '0' and (misfit(report, 'hash') or misfit(done, 'list'))
        end
    end

    local function settle(number, job)
        local outcome = outcomes[job.what]
        if not outcome then
            local ok, problem = pcall(notes[job.what], job)
            if not ok then
                fail(number, job.id, problem)
            end
            return
        end
        if call('XACK', stream, GROUP, job.entry) == 0 then
            return
        end
        local ok, problem = false, find_misfit(job)
        if not problem then
            ok, problem = pcall(outcome, job)
        end
        if not ok then
            make_pending(job.entry)
            fail(number, job.id, problem)
            return
        end
        gone[#gone + 1] = job.entry
        if ENDS[job.what] and job.duplicate_of ~= job.id then
            unmark({ job.id })
        end
    end

    for i, job in ipairs(jobs) do
        settle(before + i, job)
    end
end

local problem = misfit(stream, 'stream')
if problem then
    return { { 0, '', problem } }
end
local entries = cmsgpack.unpack(ARGV[9])
settle_done(entries, cmsgpack.unpack(ARGV[10]))
local others = cmsgpack.unpack(ARGV[11])
if #others > 0 then
    settle_others(others, #entries)
end
if #gone > 0 then
    call('XDEL', stream, unpack(gone))
end
if earliest then
    -- Without it they are found too, only later.
    redis.pcall('ZADD', KEYS[10], 'LT', string.format('%.0f', earliest), queue_of(stream, KEYS[9]))
end
return failures
