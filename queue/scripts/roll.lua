-- The workers that have given a sign of life, as enlist.lua notes it.
--
-- KEYS: the set of workers. Gives the time now (ms), and each worker with the time of its last sign of life.

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

return { string.format('%.0f', now), call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES') }
