-- KEYS[1] cell; ARGV: the value seen (empty = none), the new one, its life in milliseconds. 1 = changed, 0 = another was
-- there. A key of another type is an error, and stays.
local held = redis.call('GET', KEYS[1])
if (held or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
