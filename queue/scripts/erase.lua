-- Deletes a dead letter, and the report that its job is dead.
--
-- KEYS: the queue's keys. ARGV: the letter. Gives how many there were.

local stream, _, dead, _, _, failed = unpack(KEYS)
local entry = ARGV[1]
local letter = read_entry(dead, entry)

if not letter then
    return 0
end
remove_letter(stream, dead, failed, entry, message_id(entry, letter))
return 1
