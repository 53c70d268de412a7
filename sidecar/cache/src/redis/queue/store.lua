-- KEYS: answer, claim. ARGV: token, value, life in milliseconds. An owner whose claim has passed to another stores
-- nothing; one whose claim is merely gone does.
local owner = redis.call('GET', KEYS[2])
if owner and owner ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
