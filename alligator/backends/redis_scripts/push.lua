-- Queue tasks, all or none.
-- ARGV[3] queue; then three a task: id, body, and "" or a JSON object of what is not plain about it:
-- priority, due, depends_on, unique.
-- Returns {index, id of the holder, ...} of the tasks that were not queued, counted from 1.

local queue = ARGV[3]

-- The ids that a task has to wait for.
local function unfinished(depends_on, batch, held_as)
  local found = {}
  for _, id in ipairs(depends_on) do
    id = held_as[id] or id
    if batch[id] or redis.call('HEXISTS', P .. 'tasks', id) == 1 then
      found[#found + 1] = id
    end
  end
  return found
end

local function block(term)
  redis.call('ZADD', key('blocked', queue), term.seq, term.id)
  redis.call('HSET', P .. 'held-until', term.id, term.due or 0)
  each_chunk('SADD', P .. 'depends:' .. term.id, term.depends_on)
  for _, other in ipairs(term.depends_on) do
    redis.call('SADD', P .. 'waiting-on:' .. other, term.id)
  end
end

-- Put a task that is not plain where it belongs; true when that is among those that wait.
local function place(term)
  if term.unique then
    redis.call('HSET', P .. 'unique', term.unique, term.id)
    redis.call('HSET', P .. 'unique-of', term.id, term.unique)
  end
  if #term.depends_on > 0 then
    block(term)
  elseif term.due and term.due > now then
    hold('delayed', queue, term.id, term.due)
  else
    return true
  end
end

return once(function()
  local given = {}
  for at = 4, #ARGV, 3 do
    given[#given + 1] = ARGV[at]
  end
  local held = fetch(P .. 'tasks', given)
  -- The one write that a server at maxmemory refuses, before anything else is changed. What is not
  -- queued leaves its number unused.
  local seq = redis.call('INCRBY', P .. 'seq', #given) - #given
  local values, ready, special, refused = {}, {}, {}, {}
  local batch, keys, held_as, pushed = {}, {}, {}, math.floor(now / 1000)
  for index, id in ipairs(given) do
    local at = 3 * index + 1
    local term = ARGV[at + 2] ~= '' and cjson.decode(ARGV[at + 2])
    local holder = (held[index] or batch[id]) and id
    if term and term.unique and not holder then
      holder = keys[term.unique] or redis.call('HGET', P .. 'unique', term.unique)
      held_as[id] = holder or nil
    end
    seq = seq + 1
    if holder then
      refused[#refused + 1] = index
      refused[#refused + 1] = holder
    else
      values[#values + 1] = id
      values[#values + 1] = struct.pack(HEADER, seq, pushed, term and term.priority or 0, 0, 0, queue)
        .. ARGV[at + 1]
      if term then
        term.id, term.seq = id, seq
        term.depends_on = term.depends_on and unfinished(term.depends_on, batch, held_as) or {}
        if term.unique then
          keys[term.unique] = id
        end
        special[#special + 1] = term
      else
        ready[#ready + 1] = order(0, seq)
        ready[#ready + 1] = id
      end
      batch[id] = true
    end
  end
  if #values == 0 then
    return refused, false
  end
  each_chunk('HSET', P .. 'tasks', values)
  if redis.call('EXISTS', P .. 'results') == 1 then
    -- Nobody must take what an earlier task of the same id left for the result of the new one.
    for id in pairs(batch) do
      redis.call('DEL', P .. 'result:' .. id)
    end
  end
  for _, term in ipairs(special) do
    if place(term) then
      ready[#ready + 1] = order(term.priority, term.seq)
      ready[#ready + 1] = term.id
    end
  end
  each_chunk('ZADD', key('waiting', queue), ready)
  redis.call('SADD', P .. 'queues', queue)
  if #ready > 0 then
    wake(queue)
  end
  return refused, true
end)
