using System.Runtime.InteropServices;

namespace Shinano.Cpu.Interpreter;

/// <summary>Memory of dropped code that a running vCPU may still be inside. Under the code cache's gate.</summary>
internal sealed unsafe class RetiredCode
{
    private readonly List<(nint Segments, long Epoch)> _retired = [];

    /// <summary>Grows with each piece that is retired. A vCPU that has seen it at a block boundary is inside none of them.</summary>
    public long Epoch { get; private set; }

    /// <summary>Takes a list of segments (<see cref="CodePage.Segments"/>).</summary>
    public void Add(byte* segments) => _retired.Add(((nint)segments, ++Epoch));

    /// <summary>Frees what no vCPU can be inside any more.</summary>
    public void Free(List<InterpreterCpu> cpus)
    {
        long seen = long.MaxValue;
        foreach (InterpreterCpu cpu in cpus)
        {
            seen = Math.Min(seen, cpu.IsRunning ? cpu.SeenEpoch : long.MaxValue);
        }

        for (int i = _retired.Count - 1; i >= 0; i--)
        {
            if (_retired[i].Epoch <= seen)
            {
                for (byte* segment = (byte*)_retired[i].Segments; segment is not null;)
                {
                    byte* next = *(byte**)segment;
                    NativeMemory.Free(segment);
                    segment = next;
                }

                _retired.RemoveAt(i);
            }
        }
    }
}
