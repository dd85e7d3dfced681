using System.Runtime.InteropServices;

namespace Shinano.Linux;

/// <summary>The terminal on standard input, in raw mode for as long as the object lives (termios(3)).</summary>
public sealed partial class Terminal : IDisposable
{
    // asm-generic/termbits.h: struct termios of glibc is 60 bytes on x86-64; libc fills and reads it, we only carry it.
    private const int TermiosBytes = 128;
    private const int StandardInput = 0;
    private const int ApplyNow = 0;

    private readonly byte[] _saved;
    private readonly List<PosixSignalRegistration> _signals = [];
    private int _restored;

    private Terminal(byte[] saved)
    {
        _saved = saved;

        // A terminal left raw is of no use to anybody, so every way out puts it back.
        foreach (PosixSignal signal in (PosixSignal[])[PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGINT, PosixSignal.SIGQUIT])
        {
            _signals.Add(PosixSignalRegistration.Create(signal, _ => Restore()));
        }

        AppDomain.CurrentDomain.ProcessExit += OnProcessExit;
    }

    /// <summary>Whether standard input is a terminal.</summary>
    public static bool IsStandardInput => IsTerminal(StandardInput) == 1;

    /// <summary>Puts the terminal into raw mode: every key arrives as it is, nothing is echoed. Null when there is no terminal.</summary>
    public static Terminal? EnterRawMode()
    {
        byte[] saved = new byte[TermiosBytes];
        if (!IsStandardInput || GetAttributes(StandardInput, saved) != 0)
        {
            return null;
        }

        byte[] raw = [.. saved];
        MakeRaw(raw);
        Terminal terminal = new(saved);
        SetAttributes(StandardInput, ApplyNow, raw);
        return terminal;
    }

    public void Dispose()
    {
        Restore();
        AppDomain.CurrentDomain.ProcessExit -= OnProcessExit;
        _signals.ForEach(signal => signal.Dispose());
    }

    [LibraryImport("libc", EntryPoint = "isatty")]
    private static partial int IsTerminal(int descriptor);

    [LibraryImport("libc", EntryPoint = "tcgetattr")]
    private static partial int GetAttributes(int descriptor, [Out] byte[] termios);

    [LibraryImport("libc", EntryPoint = "tcsetattr")]
    private static partial int SetAttributes(int descriptor, int actions, [In] byte[] termios);

    [LibraryImport("libc", EntryPoint = "cfmakeraw")]
    private static partial void MakeRaw([In, Out] byte[] termios);

    private void OnProcessExit(object? sender, EventArgs e) => Restore();

    private void Restore()
    {
        if (Interlocked.Exchange(ref _restored, 1) == 0)
        {
            SetAttributes(StandardInput, ApplyNow, _saved);
        }
    }
}
