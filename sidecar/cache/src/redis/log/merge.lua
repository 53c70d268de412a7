-- KEYS[1] log; ARGV: the oldest two bans, the epoch of the second, the one ban that replaces them ('' = none).
if redis.call('ZRANGE', KEYS[1], 1, 1)[1] ~= ARGV[1] or redis.call('ZRANGE', KEYS[1], 2, 2)[1] ~= ARGV[2] then
  return
end
redis.call('ZREM', KEYS[1], ARGV[1], ARGV[2])
if ARGV[4] ~= '' then
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[4])
end
