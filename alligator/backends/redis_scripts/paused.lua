-- Name the paused queues.

return redis.call('SMEMBERS', P .. 'paused')
