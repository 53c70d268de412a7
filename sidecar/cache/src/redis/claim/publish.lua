-- KEYS: claim, what is given to those who wait for it. ARGV: token, sealed answer, life in milliseconds. Under a name
-- of its own: whoever asks after the claim has ended claims anew, and who waited for it still finds what it brought.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
  return redis.call('DEL', KEYS[1])
end
return 0
