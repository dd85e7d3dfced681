using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Shinano.Linux;

/// <summary>Memory for generated code: one file mapped twice, writable at one address and executable at another, never both (W^X).</summary>
public sealed unsafe class ExecutableMemory : IDisposable
{
    private readonly MemoryFile _file;

    /// <param name="length">Length in bytes, a multiple of 4096.</param>
    /// <exception cref="Win32Exception">The host forbids executable mappings.</exception>
    public ExecutableMemory(long length)
    {
        _file = new MemoryFile("shinano-code", length);
        nint address = NativeMemoryCalls.MMap(
            0, (nuint)length, NativeMemoryCalls.ProtRead | NativeMemoryCalls.ProtExec, NativeMemoryCalls.MapShared, _file.Descriptor, 0);
        if (address == NativeMemoryCalls.MapFailed)
        {
            int error = Marshal.GetLastPInvokeError();
            _file.Dispose();
            throw new Win32Exception(error, "cannot map executable memory");
        }

        Executable = (byte*)address;
    }

    /// <summary>The writable view: emit here.</summary>
    public byte* Writable => _file.Address;

    /// <summary>The executable view of the same bytes: call here.</summary>
    public byte* Executable { get; private set; }

    /// <summary>Length in bytes.</summary>
    public long Length => _file.Length;

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Executable is not null)
        {
            _ = NativeMemoryCalls.MUnmap((nint)Executable, (nuint)Length);
            Executable = null;
            _file.Dispose();
        }
    }
}
