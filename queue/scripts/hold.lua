-- Takes the unique keys of jobs that have been fetched, and whose messages say nothing of whether they have them.
--
-- KEYS: the queue's keys. ARGV: the consumer; of each job its entry, its ID, its unique key, and for how long that is held
-- at most (ms; 0: until the job has ended). Gives for each job the ID of the one that has the key ('': it has it itself),
-- 0 where it is not the consumer's any more, or in a list what is wrong with the lock.

local stream, _, _, bodies = unpack(KEYS)
local consumer = ARGV[1]
local answers = {}

local function hold(entry, id, unique, unique_for)
    if #redis.pcall('XPENDING', stream, GROUP, entry, entry, 1, consumer) == 0 then
        return 0
    end
    local lock = lock_name(stream, unique)
    local problem = misfit(lock, 'string')
    if problem then
        return { problem }
    end
    local own = entry .. ' ' .. id
    local owner, first = find_owner(stream, bodies, lock)
    if owner and owner ~= own then
        return first
    end
    -- A reply may have got lost.
    if not owner then
        take_lock(lock, own, unique_for)
    end
    return ''
end

for i = 2, #ARGV, 4 do
    answers[#answers + 1] = hold(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
end
return answers
