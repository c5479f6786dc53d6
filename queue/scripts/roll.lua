-- Who has given a sign of life, and when.
--
-- KEYS: the set of workers, as enlist.lua keeps it, or that of the queues that are read, of unread.lua. Gives the time now
-- (ms), and each member with the time of its last sign of life.

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

return { string.format('%.0f', now), call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES') }
