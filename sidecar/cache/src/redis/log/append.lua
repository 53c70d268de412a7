-- KEYS[1] log; ARGV: the last member that the issuer knows, the next epoch, the sealed ban, life in milliseconds.
if redis.call('ZRANGE', KEYS[1], -1, -1)[1] ~= ARGV[1] then
  return -1
end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return redis.call('ZCARD', KEYS[1])
