-- Makes a queue's group, also where memory is full: there XGROUP CREATE alone is refused, even for a group that is there,
-- and without it nothing of what waits could be taken off.
--
-- KEYS: the queue's keys.

defy_full_memory(KEYS[7])
return redis.pcall('XGROUP', 'CREATE', KEYS[1], GROUP, '0', 'MKSTREAM')
