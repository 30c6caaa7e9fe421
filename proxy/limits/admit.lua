-- Counts one call against every limit, or against none of them: the arithmetic of table.py, with Redis' own clock.
-- KEYS: a place for each limit. ARGV, four for each: t (token bucket) or s (sliding window), requests, microseconds
-- of the window, burst. Returns: let in (1 or 0), which limit decided (from 1), calls left, microseconds until it is
-- full again, microseconds until a refused call may be repeated.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local least, refused = nil, nil
local writes = {}

local function bucket(key, requests, window, burst)
  local interval = window / requests
  local tolerance = interval * burst
  local ahead = math.max(tonumber(redis.call('GET', key) or 0) - now, 0)
  if ahead > tolerance + 0.5 then
    -- From a time when the limit was another one. The bucket is empty now, no more, and fills from here.
    ahead = tolerance
    redis.call('SET', key, string.format('%.3f', now + ahead), 'PX', math.ceil(ahead / 1000) + 1)
  end
  ahead = ahead + interval
  if ahead > tolerance + 0.5 then
    return false, 0, ahead - interval, ahead - tolerance
  end
  table.insert(writes, function()
    redis.call('SET', key, string.format('%.3f', now + ahead), 'PX', math.ceil(ahead / 1000) + 1)
  end)
  return true, math.floor((tolerance - ahead) / interval + 0.000001), ahead, 0
end

-- A list of when calls were let in, the newest first, never longer than the limit.
local function window_of(key, requests, window)
  local start = now - window
  local length = math.min(redis.call('LLEN', key), requests)
  if length >= requests then
    local first = tonumber(redis.call('LINDEX', key, requests - 1))
    if first > start then
      return false, 0, tonumber(redis.call('LINDEX', key, 0)) - start, first - start
    end
  end
  local low, high = 0, length
  while low < high do
    local middle = math.floor((low + high) / 2)
    if tonumber(redis.call('LINDEX', key, middle)) > start then low = middle + 1 else high = middle end
  end
  table.insert(writes, function()
    redis.call('LPUSH', key, string.format('%.0f', now))
    redis.call('LTRIM', key, 0, requests - 1)
    redis.call('PEXPIRE', key, math.ceil(window / 1000) + 1)
  end)
  return true, requests - low - 1, window, 0
end

for number, key in ipairs(KEYS) do
  local at = number * 4
  local requests, window, burst = tonumber(ARGV[at - 2]), tonumber(ARGV[at - 1]), tonumber(ARGV[at])
  local admitted, left, full, wait
  if ARGV[at - 3] == 's' then
    admitted, left, full, wait = window_of(key, requests, window)
  else
    admitted, left, full, wait = bucket(key, requests, window, burst)
  end
  local verdict = {admitted and 1 or 0, number, left, math.ceil(full), math.ceil(wait)}
  if not admitted then
    if refused == nil or verdict[5] > refused[5] then refused = verdict end
  elseif least == nil or left < least[3] then
    least = verdict
  end
end
if refused ~= nil then return refused end
for _, write in ipairs(writes) do write() end
return least
