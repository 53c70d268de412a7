-- KEYS[1] answer; ARGV: its first bytes as seen, how many that are at most.
if redis.call('GETRANGE', KEYS[1], 0, ARGV[2] - 1) == ARGV[1] then
  return redis.call('UNLINK', KEYS[1])
end
return 0
