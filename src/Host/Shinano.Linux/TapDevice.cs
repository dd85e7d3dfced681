using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;

namespace Shinano.Linux;

/// <summary>
/// A TAP interface with a virtio header before each frame. It goes with this object. One thread reads; any may write.
/// </summary>
/// <remarks>Source: linux/if_tun.h, Documentation/networking/tuntap.rst.</remarks>
public sealed unsafe partial class TapDevice : IDisposable
{
    private const int ReadWrite = 2; // O_RDWR
    private const int NonBlocking = 0x800; // O_NONBLOCK
    private const int CloseOnExec = 0x80000; // O_CLOEXEC
    private const uint SetInterface = 0x400454ca; // TUNSETIFF
    private const uint SetOffload = 0x400454d0; // TUNSETOFFLOAD
    private const ushort TapNoInfoHeader = 0x0002 | 0x1000 | 0x4000; // IFF_TAP, IFF_NO_PI, IFF_VNET_HDR
    private const nuint ChecksumAndTcp = 1 | 2 | 4; // TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6
    private const short Readable = 1; // POLLIN
    private const int Interrupted = 4; // EINTR
    private const int Again = 11; // EAGAIN
    private const int NameSize = 16; // IFNAMSIZ

    private readonly int _device;
    private readonly int _wake;
    private readonly Lock _closing = new();
    private bool _isReading = true;
    private bool _isClosed;
    private volatile bool _stopped;

    private TapDevice(int device, int wake)
    {
        _device = device;
        _wake = wake;
    }

    /// <summary>Makes an interface, or takes one that was made to stay.</summary>
    /// <exception cref="IOException">There is no /dev/net/tun, or not the right to use it.</exception>
    public static TapDevice Open(string name)
    {
        byte[] text = Encoding.ASCII.GetBytes(name);
        if (text.Length is 0 or >= NameSize)
        {
            throw new IOException($"'{name}' is no name of an interface: it has 1 to {NameSize - 1} characters");
        }

        int device = Open("/dev/net/tun", ReadWrite | NonBlocking | CloseOnExec);
        if (device < 0)
        {
            throw Failure("/dev/net/tun");
        }

        // struct ifreq: the name, then the flags; 40 bytes.
        byte[] request = new byte[40];
        text.CopyTo(request, 0);
        BitConverter.TryWriteBytes(request.AsSpan(NameSize), TapNoInfoHeader);
        int wake = -1;
        if (Control(device, SetInterface, request) != 0 || ControlValue(device, SetOffload, ChecksumAndTcp) != 0 || (wake = EventDescriptor(0, CloseOnExec)) < 0)
        {
            IOException failure = Failure($"TAP interface {name}");
            _ = Close(device);
            throw failure;
        }

        return new TapDevice(device, wake);
    }

    /// <summary>Waits for a frame and reads it behind its header.</summary>
    /// <returns>Bytes read; 0 when the device was disposed or is gone, which must be the last call.</returns>
    public int Read(Span<byte> buffer)
    {
        PollEntry* entries = stackalloc PollEntry[2];
        while (!_stopped)
        {
            // SAFETY: the kernel writes no more than the buffer's length, during the call.
            fixed (byte* place = buffer)
            {
                nint count = Read(_device, place, buffer.Length);
                if (count > 0)
                {
                    return (int)count;
                }
            }

            if (Marshal.GetLastPInvokeError() is not (Again or Interrupted))
            {
                break;
            }

            entries[0] = new PollEntry { Descriptor = _device, Events = Readable };
            entries[1] = new PollEntry { Descriptor = _wake, Events = Readable };
            _ = Poll(entries, 2, -1);
        }

        lock (_closing)
        {
            _isReading = false;
        }

        CloseAll();
        return 0;
    }

    /// <summary>Writes a frame behind its header; false when the kernel did not take it.</summary>
    public bool TryWrite(ReadOnlySpan<byte> header, ReadOnlySpan<byte> frame)
    {
        lock (_closing)
        {
            if (_isClosed || _stopped)
            {
                return false;
            }

            // SAFETY: the kernel reads the two buffers during the call.
            fixed (byte* first = header)
            fixed (byte* second = frame)
            {
                Vector* vectors = stackalloc Vector[2];
                vectors[0] = new Vector { Base = first, Length = header.Length };
                vectors[1] = new Vector { Base = second, Length = frame.Length };
                return WriteVector(_device, vectors, 2) == header.Length + frame.Length;
            }
        }
    }

    /// <summary>Ends reading, and closes when it has ended.</summary>
    public void Dispose()
    {
        _stopped = true;
        lock (_closing)
        {
            if (_isReading)
            {
                ulong one = 1;
                _ = Write(_wake, &one, sizeof(ulong));
                return;
            }
        }

        CloseAll();
    }

    private void CloseAll()
    {
        lock (_closing)
        {
            if (!_isClosed)
            {
                _isClosed = true;
                _ = Close(_device);
                _ = Close(_wake);
            }
        }
    }

    private static IOException Failure(string what) => new($"{what}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(int file, nuint request, [In] byte[] argument);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int ControlValue(int file, nuint request, nuint argument);

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    private static partial int EventDescriptor(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(int file, byte* buffer, nint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint Write(int file, void* buffer, nint count);

    [LibraryImport("libc", EntryPoint = "writev", SetLastError = true)]
    private static partial nint WriteVector(int file, Vector* vectors, int count);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static partial int Poll(PollEntry* entries, nuint count, int milliseconds);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int file);

    /// <summary>struct pollfd.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct PollEntry
    {
        public int Descriptor;
        public short Events;
        public short Results;
    }

    /// <summary>struct iovec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Vector
    {
        public byte* Base;
        public nint Length;
    }
}
