namespace Shinano.Hypervisor;

/// <summary>The hypervisor's message ring: what <c>xm dmesg</c> shows. Bounded; a guest that provokes messages only pushes out older ones.</summary>
public sealed class HypervisorLog
{
    private const int Capacity = 2048;
    private readonly Queue<string> _lines = new();
    private readonly Lock _lock = new();

    /// <summary>Told of each line as it comes, on the thread that writes it; short, and must not write itself.</summary>
    public event Action<string>? Written;

    /// <summary>Adds a line (no newline in it); any thread.</summary>
    public void Write(string message)
    {
        lock (_lock)
        {
            if (_lines.Count == Capacity)
            {
                _lines.Dequeue();
            }

            _lines.Enqueue(message);
        }

        Written?.Invoke(message);
    }

    /// <summary>Forgets the lines.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            _lines.Clear();
        }
    }

    /// <summary>The lines kept, oldest first.</summary>
    public IReadOnlyList<string> Snapshot()
    {
        lock (_lock)
        {
            return [.. _lines];
        }
    }
}
