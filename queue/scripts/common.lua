-- What all of weft's scripts share; it is put in front of each of them.

local call = redis.call
local GROUP = 'weft'

-- A Redis whose memory is full refuses what may need more, unless the script has written something before that needs
-- none. So those that take work off it, or say that somebody lives, begin with this, which changes nothing.
local function defy_full_memory(sorted_set)
    redis.pcall('ZREM', sorted_set, '')
end

-- While a script runs Redis does nothing else, so one that has much to do stops when it has taken so long, and is called
-- again. Asking costs as much as a small command, so only each eighth question is one; what copies much bounds the bytes
-- as well. A clock that is set does no harm: a script then stops too soon, or by its other bounds.
local BUDGET_US = 2000
local begun_us, questions = nil, 0

local function clock_us()
    local time = call('TIME')
    return time[1] * 1000000 + time[2]
end

-- From the time that was just asked for, if it was.
local function start_clock(time)
    begun_us = time and time[1] * 1000000 + time[2] or clock_us()
end

local function is_late()
    questions = questions + 1
    return questions % 8 == 0 and math.abs(clock_us() - begun_us) >= BUDGET_US
end

-- Lua hands a command at most some 8,000 arguments. A message with more fields is refused anyway, so all that matters
-- is that nothing of it is lost: what does not fit is kept in one field.
local PAIRS_MAX = 3910
local PAIRS_KEPT = 3900

local function shorten(fields)
    if #fields <= 2 * PAIRS_MAX then
        return fields
    end
    local kept, rest = {}, {}
    for i = 1, 2 * PAIRS_KEPT do
        kept[i] = fields[i]
    end
    for i = 2 * PAIRS_KEPT + 1, #fields do
        rest[#rest + 1] = fields[i]
    end
    kept[#kept + 1] = 'weft.more'
    kept[#kept + 1] = cmsgpack.pack(rest)
    return kept
end

-- What weft itself adds to a message.
local OWN = {
    ['weft.id'] = true, ['weft.attempt'] = true, ['weft.enqueued_at'] = true, ['weft.error'] = true,
    ['weft.attempts'] = true, ['weft.node'] = true, ['weft.failed_at'] = true,
    ['weft.unique'] = true, ['weft.duplicate_of'] = true,
}

-- A copy of the fields without those whose names are in `dropped`.
local function without(fields, dropped)
    local kept, n = {}, 0
    for i = 1, #fields, 2 do
        if not dropped[fields[i]] then
            kept[n + 1], kept[n + 2] = fields[i], fields[i + 1]
            n = n + 2
        end
    end
    return kept
end

-- The last value of a name, which is the one that counts, or nil.
local function find_field(fields, name)
    for i = #fields - 1, 1, -2 do
        if fields[i] == name then
            return fields[i + 1]
        end
    end
    return nil
end

local function append(fields, name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = value
end

-- A list of names and values as a table, which is how Redis says such things to scripts.
local function flat_map(list)
    local map = {}
    for i = 1, #list, 2 do
        map[list[i]] = list[i + 1]
    end
    return map
end

-- The fields of an entry, or nil if somebody has deleted it.
local function read_entry(stream, entry)
    local found = call('XRANGE', stream, entry, entry)
    return found[1] and found[1][2]
end

local function count_bytes(fields)
    local bytes = 0
    for i = 1, #fields do
        bytes = bytes + #fields[i]
    end
    return bytes
end

local KINDS = { string = 'a string', list = 'a list', set = 'a set', zset = 'a sorted set', hash = 'a hash',
    stream = 'a stream' }

-- A queue's name, which its stream's key has in braces behind the prefix that both keys have.
local function queue_of(stream, control)
    local prefix_size = #control - #':control'
    return string.sub(stream, prefix_size + 3, -2)
end

local CONTROL_KEPT_MS = 3600000

-- Notes that something has been asked of a queue's workers: they look into `control` a few times a second, and then only
-- at what has changed. The score is the time in microseconds, or what comes next where the clock was set back. What
-- cannot be noted is found later, by workers that look at all queues in turn.
local function note_change(stream, control)
    local time = call('TIME')
    local now = time[1] * 1000000 + time[2]
    local last = tonumber(redis.pcall('ZRANGE', control, -1, -1, 'WITHSCORES')[2]) or 0
    redis.pcall('ZADD', control, string.format('%.0f', math.max(now, last + 1)), queue_of(stream, control))
    redis.pcall('ZREMRANGEBYSCORE', control, '-inf', string.format('%.0f', now - CONTROL_KEPT_MS * 1000))
    redis.pcall('PEXPIRE', control, CONTROL_KEPT_MS)
end

-- What is wrong with a key that does not hold what it should, or nil.
local function misfit(key, kind)
    local found = call('TYPE', key).ok
    if found == kind or found == 'none' then
        return nil
    end
    return string.format('the key %s holds %s, not %s, and has to be removed', key, KINDS[found] or found, KINDS[kind])
end

-- The words of an error.
local function words_of(problem)
    return type(problem) == 'table' and problem.err or tostring(problem)
end

-- A report's key is made of a stranger's words: what else may have got that name is not ours to remove.
local function remove_report(stream, id)
    local key = stream .. ':job:' .. id
    if call('TYPE', key).ok == 'hash' then
        call('DEL', key)
    end
end

-- Keeps at most `max` reports: notes the IDs of new ones in `list`, and removes the oldest. Gives an error of Redis as
-- a table, or nil.
local function bound_reports(stream, list, ids, max, ttl)
    if #ids == 0 then
        return nil
    end
    local length = redis.pcall('RPUSH', list, unpack(ids))
    if type(length) == 'table' then
        return length
    end
    if length > max then
        local old = call('LPOP', list, math.min(length - max, 512))
        for i = 1, #old do
            old[i] = stream .. ':job:' .. old[i]
        end
        call('UNLINK', unpack(old))
    end
    call('PEXPIRE', list, ttl)
    return nil
end

-- The job ID of a message, or of a dead letter.
local function message_id(entry, fields)
    return find_field(fields, 'weft.id') or find_field(fields, 'id') or entry
end

-- ---- Unique keys ----
--
-- The key `weft:{Q}:unique:KEY` is the lock of a unique key. It names the message that has it, by its place: 'ENTRY ID' in
-- the stream, 'delayed MEMBER' among the delayed ones, where the member begins with the job's ID. Whoever moves a message
-- writes the new place in the same step, so that a lock whose message is not there any more is known to be nobody's,
-- whatever has taken the message away. `weft.unique` in a message says that it has had its lock, which must not be asked
-- for again: `unique_for` may be over. `weft.duplicate_of` says that another job had it.

local UNIQUE_KEPT_MS = 30 * 24 * 3600 * 1000 -- the longest wait for which a lock is kept that has no `unique_for`

local function lock_name(stream, unique)
    return stream .. ':unique:' .. unique
end

local function is_at(stream, bodies, place, rest)
    if place == 'delayed' then
        return call('HEXISTS', bodies, rest) == 1
    end
    if not string.match(place, '^%d+%-%d+$') then
        return false
    end
    -- Asking for the message itself copies it.
    return #redis.pcall('XPENDING', stream, GROUP, place, place, 1) > 0 or read_entry(stream, place) ~= nil
end

-- The owner of a lock, and the owner's job ID; nil where it is free.
local function find_owner(stream, bodies, lock)
    local owner = call('GET', lock)
    local place, rest = string.match(owner or '', '^(%S+) (.+)$')
    if not place or not is_at(stream, bodies, place, rest) then
        return nil
    end
    return owner, string.match(rest, '^%S+')
end

-- Redis lets a script that has deleted something write even where its memory is full: the job is to be taken off.
local function take_lock(lock, owner, unique_for)
    call('DEL', lock)
    call('SET', lock, owner, 'PX', tonumber(unique_for) > 0 and unique_for or string.format('%.0f', UNIQUE_KEPT_MS))
end

-- The lock that a message has at this place, or nil.
local function find_lock(stream, fields, owner)
    local unique = find_field(fields, 'unique')
    local lock = unique and lock_name(stream, unique)
    return lock and redis.pcall('GET', lock) == owner and lock or nil
end

local function free_lock(lock)
    if lock then
        call('DEL', lock)
    end
end

-- The message has got to another place, where it may wait for a while.
local function pass_lock(lock, fields, owner, wait_ms)
    if not lock then
        return
    end
    if find_field(fields, 'unique_for') then
        call('SET', lock, owner, 'KEEPTTL')
    else
        call('SET', lock, owner, 'PX', string.format('%.0f', UNIQUE_KEPT_MS + math.max(wait_ms, 0)))
    end
end

-- Deletes a dead letter, and the report of its job unless the job has another one meanwhile.
local function remove_letter(stream, dead, failed, entry, id)
    if redis.pcall('HGET', stream .. ':job:' .. id, 'state') == 'dead' then
        call('DEL', stream .. ':job:' .. id)
    end
    redis.pcall('LREM', failed, 1, id)
    call('XDEL', dead, entry)
end
