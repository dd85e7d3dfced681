using System.Buffers.Binary;
using System.ComponentModel;
using System.Diagnostics;
using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;

namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>
/// Runs cases on the real CPU, in a process of its own (HostOracle.c, compiled on first use) whose signal handlers catch whatever the code does. A batch
/// costs one round trip through a pipe; the cases and results lie in a shared file.
/// </summary>
internal sealed class HostOracle : IDisposable
{
    /// <summary>Cases of one batch.</summary>
    public const int BatchSize = 128;

    private const int SlotSize = 4 * 4096;
    private const int CodeAt = 192;
    private const int XsaveAt = 512;
    private const int MemoryAt = 4096;

    private static readonly Lazy<(string? Path, string? Reason)> Program = new(Compile);

    private readonly string _file;
    private readonly MemoryMappedFile _mapping;
    private readonly MemoryMappedViewAccessor _slots;
    private Process _process;

    /// <exception cref="InvalidOperationException">There is no oracle here; see <see cref="Unavailable"/>.</exception>
    public HostOracle()
    {
        if (Unavailable is string reason)
        {
            throw new InvalidOperationException(reason);
        }

        _file = Path.GetTempFileName();
        _mapping = MemoryMappedFile.CreateFromFile(_file, FileMode.Open, null, BatchSize * SlotSize);
        _slots = _mapping.CreateViewAccessor();
        _process = Start();
    }

    /// <summary>Why there is no oracle on this machine, or null.</summary>
    public static string? Unavailable => Program.Value.Reason;

    /// <summary>Runs up to <see cref="BatchSize"/> cases; the results are new objects in the same order.</summary>
    public MachineCase[] Run(IReadOnlyList<MachineCase> cases)
    {
        for (int i = 0; i < cases.Count; i++)
        {
            Write(cases[i], i * SlotSize);
        }

        Span<byte> count = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(count, cases.Count);
        Stream input = _process.StandardInput.BaseStream;
        input.Write(count);
        input.Flush();
        using CancellationTokenSource patience = new(TimeSpan.FromSeconds(60));
        try
        {
            byte[] answer = new byte[4];
            _process.StandardOutput.BaseStream.ReadExactlyAsync(answer, patience.Token).AsTask().GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is EndOfStreamException or OperationCanceledException)
        {
            Stop();
            _process = Start();
            if (cases.Count == 1)
            {
                throw new InvalidOperationException(
                    $"the oracle died of or hung in {Convert.ToHexString(cases[0].Code)} ({string.Join("; ", cases[0].Instructions)})", e);
            }

            // Find the one to blame.
            return [.. cases.Select(c => Run([c])[0])];
        }

        MachineCase[] results = new MachineCase[cases.Count];
        for (int i = 0; i < cases.Count; i++)
        {
            results[i] = Read(cases[i], i * SlotSize);
        }

        return results;
    }

    public void Dispose()
    {
        Stop();
        _slots.Dispose();
        _mapping.Dispose();
        File.Delete(_file);
    }

    private static (string? Path, string? Reason) Compile()
    {
        if (RuntimeInformation.ProcessArchitecture != Architecture.X64)
        {
            return (null, "the host is no x86-64");
        }

        string source = Path.Combine(AppContext.BaseDirectory, "HostOracle.c");
        string folder = Directory.CreateTempSubdirectory("shinano-oracle-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, true);
        string target = Path.Combine(folder, "oracle");
        try
        {
            using Process compiler = Process.Start(new ProcessStartInfo(
                "gcc", ["-O2", "-Wall", "-Werror", "-fPIE", "-pie", "-fno-stack-protector", "-mgeneral-regs-only", "-o", target, source])
            { RedirectStandardError = true })!;
            string errors = compiler.StandardError.ReadToEnd();
            compiler.WaitForExit();
            return compiler.ExitCode == 0 ? (target, null) : (null, "gcc cannot compile the oracle: " + errors);
        }
        catch (Win32Exception)
        {
            return (null, "gcc is not installed (apt-get install gcc libc6-dev)");
        }
    }

    private Process Start() => Process.Start(new ProcessStartInfo(Program.Value.Path!, [_file, $"{BatchSize}"])
    {
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
    })!;

    private void Stop()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    private void Write(MachineCase from, int at)
    {
        _slots.WriteArray(at, from.Gpr, 0, 16);
        _slots.Write(at + 128, from.Rip);
        _slots.Write(at + 136, from.Rflags);
        _slots.Write(at + 144, from.FsBase);
        _slots.Write(at + 152, from.GsBase);
        _slots.Write(at + 184, from.CodeOffset);
        _slots.Write(at + 188, (int)from.LastPage);
        byte[] code = new byte[MachineCase.MaximumCode];
        Array.Fill(code, (byte)0xCC);
        from.Code.CopyTo(code, 0);
        _slots.WriteArray(at + CodeAt, code, 0, code.Length);
        _slots.WriteArray(at + XsaveAt, from.Xsave, 0, from.Xsave.Length);
        _slots.WriteArray(at + MemoryAt, from.Memory, 0, from.Memory.Length);
    }

    private MachineCase Read(MachineCase initial, int at)
    {
        MachineCase result = initial.Clone();
        _ = _slots.ReadArray(at, result.Gpr, 0, 16);
        result.Rip = _slots.ReadUInt64(at + 128);
        result.Rflags = _slots.ReadUInt64(at + 136);
        result.FsBase = _slots.ReadUInt64(at + 144);
        result.GsBase = _slots.ReadUInt64(at + 152);
        result.Vector = _slots.ReadUInt64(at + 160);
        result.ErrorCode = _slots.ReadUInt64(at + 168);
        result.Cr2 = _slots.ReadUInt64(at + 176);
        _ = _slots.ReadArray(at + XsaveAt, result.Xsave, 0, result.Xsave.Length);
        _ = _slots.ReadArray(at + MemoryAt, result.Memory, 0, result.Memory.Length);
        Normalize(result.Xsave);
        return result;
    }

    // XSAVE leaves components in their initial state out; say explicitly what they hold. SDM 1 §13.6.
    private static void Normalize(byte[] xsave)
    {
        ulong present = BinaryPrimitives.ReadUInt64LittleEndian(xsave.AsSpan(CpuState.XstateBvOffset));
        if ((present & 1) == 0)
        {
            xsave.AsSpan(0, 24).Clear();
            xsave[0] = 0x7F;
            xsave[1] = 0x03;
            xsave.AsSpan(CpuState.StOffset, 128).Clear();
        }

        if ((present & 2) == 0)
        {
            xsave.AsSpan(CpuState.XmmOffset, 256).Clear();
        }

        if ((present & 4) == 0)
        {
            xsave.AsSpan(CpuState.YmmHighOffset, 256).Clear();
        }
    }
}
