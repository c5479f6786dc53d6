-- Enqueues a message with a unique key, and takes the key for it; where another job has it, the message is enqueued as a
-- duplicate of that, as which a worker will end it.
--
-- KEYS: the queue's keys. ARGV: the unique key; for how long it is held at most (ms; 0: until the job has ended); the job
-- ID ('': that of the entry); the fields of the message. Gives the entry, and the ID of the job that has the key ('': it
-- is this one).

local stream, _, _, bodies = unpack(KEYS)
local unique, unique_for, id = ARGV[1], ARGV[2], ARGV[3]
local lock = lock_name(stream, unique)
local problem = misfit(lock, 'string')

if problem then
    return redis.error_reply(problem)
end
local fields = {}
for i = 4, #ARGV do
    fields[i - 3] = ARGV[i]
end
local owner, first = find_owner(stream, bodies, lock)
fields = shorten(fields)
append(fields, owner and 'weft.duplicate_of' or 'weft.unique', first or '1')
local entry = call('XADD', stream, '*', unpack(fields))
if not owner then
    take_lock(lock, entry .. ' ' .. (id == '' and entry or id), unique_for)
end
return { entry, first or '' }
