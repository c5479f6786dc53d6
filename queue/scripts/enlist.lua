-- A worker's sign of life, in one place for all of its queues.
--
-- KEYS: the set of workers. ARGV: the worker; for how long those are kept that give no sign of life (ms).

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

defy_full_memory(KEYS[1])
call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - tonumber(ARGV[2])))
call('PEXPIRE', KEYS[1], ARGV[2])
return redis.status_reply('OK')
