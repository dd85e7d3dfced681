using Shinano.Cpu.Interpreter;

namespace Shinano.Cpu.Translator;

/// <summary>A superblock: instructions of one page from an entry on, through not-taken conditional jumps and across calls.</summary>
internal sealed class GuestBlock
{
    /// <summary>Instructions at most.</summary>
    public const int MaxInstructions = 48;

    private readonly GuestInstruction[] _instructions = new GuestInstruction[MaxInstructions];

    /// <summary>Linear address of the first instruction.</summary>
    public ulong Rip { get; private set; }

    /// <summary>See <see cref="CpuState.TranslationContext"/>.</summary>
    public int Context { get; private set; }

    public int Count { get; private set; }

    /// <summary>Where execution goes on when it reaches the end.</summary>
    public ulong EndRip { get; set; }

    /// <summary>The instruction at <see cref="EndRip"/> is the interpreter's.</summary>
    public bool EndsForeign { get; set; }

    /// <summary>The last instruction reaches into the next page.</summary>
    public bool Crosses { get; set; }

    /// <summary>With <see cref="Crosses"/>: number of the next page's mapping.</summary>
    public int NextMapping { get; set; }

    /// <summary>The 64-byte chunks of the page that the translation depends on.</summary>
    public ulong Chunks { get; set; }

    /// <summary>Flags that are read before they are written, so must be loaded at the entry.</summary>
    public ArithmeticFlag LiveAtEntry { get; set; }

    public ref GuestInstruction this[int index] => ref _instructions[index];

    public void Start(ulong rip, int context)
    {
        Rip = rip;
        Context = context;
        Count = 0;
        EndsForeign = false;
        Crosses = false;
        Chunks = 0;
    }

    public void Add(in GuestInstruction instruction) => _instructions[Count++] = instruction;

    public void AddChunks(int start, int end) => Chunks |= CodePage.ChunkMask(start, end);
}
