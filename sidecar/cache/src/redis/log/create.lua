-- KEYS[1] log; ARGV: the first member that its reader saw (or ''), the new identity, life in milliseconds.
if redis.call('TYPE', KEYS[1]).ok == 'zset' and redis.call('ZRANGE', KEYS[1], 0, 0)[1] ~= ARGV[1] then
  return 0
end
redis.call('UNLINK', KEYS[1])
redis.call('ZADD', KEYS[1], 0, ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
