namespace Shinano.Hypervisor.Mmu;

/// <summary>Collects frame numbers, each once, in any order, and gives them as runs of neighbours.</summary>
internal sealed class FrameRuns
{
    private readonly List<ulong> _frames = [];

    public void Add(ulong frame) => _frames.Add(frame);

    /// <summary>The runs, in ascending order and as long as can be; nothing is left afterwards.</summary>
    public List<(ulong First, ulong Count)> Take()
    {
        _frames.Sort();
        List<(ulong First, ulong Count)> runs = [];
        foreach (ulong frame in _frames)
        {
            if (runs.Count > 0 && runs[^1] is (ulong first, ulong count) && first + count == frame)
            {
                runs[^1] = (first, count + 1);
            }
            else
            {
                runs.Add((frame, 1));
            }
        }

        _frames.Clear();
        return runs;
    }
}
