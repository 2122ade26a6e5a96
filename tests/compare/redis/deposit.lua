#!lua name=atm
-- A deposit with an idempotency key, as atm's ledger makes one: FCALL deposit 3 ACCOUNT TERMINAL ENTRIES ID AMOUNT.
-- It returns the balance. The same id and amount again return the same balance and change nothing.
redis.register_function('deposit', function(keys, args)
    local account, terminal, entries = keys[1], keys[2], keys[3]
    local id, amount = args[1], args[2]
    local last = redis.call('HMGET', terminal, 'id', 'amount', 'balance')
    if last[1] == id then
        if last[2] ~= amount then
            return redis.error_reply('CONFLICT this id has another amount')
        end
        return tonumber(last[3])
    end
    if last[1] and tonumber(id) < tonumber(last[1]) then
        return redis.error_reply('UNKNOWN this id is lower than the last one')
    end
    local balance = redis.call('INCRBY', account, amount)
    redis.call('HSET', terminal, 'id', id, 'amount', amount, 'balance', balance)
    redis.call('XADD', entries, '*', 'terminal', terminal, 'id', id, 'amount', amount, 'balance', balance)
    return balance
end)
