-- KEYS: answer, claim. ARGV: the first bytes of the answer as its reader saw them, how many that are at most, token,
-- life in milliseconds. {0, token} = another has the claim, {1} = the answer has changed, {2} = claimed.
if redis.call('GETRANGE', KEYS[1], 0, ARGV[2] - 1) ~= ARGV[1] then
  return {1, ''}
end
if redis.call('SET', KEYS[2], ARGV[3], 'NX', 'PX', ARGV[4]) then
  return {2, ''}
end
return {0, redis.call('GETRANGE', KEYS[2], 0, #ARGV[3] - 1)}
