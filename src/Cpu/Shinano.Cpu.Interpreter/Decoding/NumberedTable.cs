namespace Shinano.Cpu.Interpreter;

/// <summary>Objects by number, since ops live in native memory and cannot refer to them. Thread-safe. Numbers are never taken back, so they are limited.</summary>
internal sealed class NumberedTable<T>
    where T : class
{
    /// <summary>Objects kept. No program comes near; a hostile one must not fill the host's memory.</summary>
    public const int Limit = 16384;

    /// <summary>In the place of a number: the object was not kept.</summary>
    public const int NotKept = -1;

    private readonly Lock _gate = new();
    private readonly Dictionary<T, int> _numbers = [];
    private T[] _items = new T[64];

    /// <summary>The object of a number that <see cref="NumberOf"/> gave.</summary>
    public T this[int number] => Volatile.Read(ref _items)[number];

    /// <summary>The number of an object or of one equal to it; <see cref="NotKept"/> when the table is full.</summary>
    public int NumberOf(T item)
    {
        lock (_gate)
        {
            if (!_numbers.TryGetValue(item, out int number))
            {
                number = _numbers.Count;
                if (number == Limit)
                {
                    return NotKept;
                }

                if (number == _items.Length)
                {
                    T[] larger = new T[2 * number];
                    _items.CopyTo(larger, 0);
                    Volatile.Write(ref _items, larger);
                }

                _items[number] = item;
                _numbers.Add(item, number);
            }

            return number;
        }
    }
}
