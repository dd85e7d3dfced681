using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Shinano.Linux;

/// <summary>Descriptors over unix stream sockets (unix(7): SCM_RIGHTS; cmsg(3)), which .NET has no call for. Blocking.</summary>
public static unsafe partial class DescriptorPassing
{
    /// <summary>Descriptors of one message at most.</summary>
    public const int MostDescriptors = 8;

    private const int SocketLevel = 1; // SOL_SOCKET
    private const int Rights = 1; // SCM_RIGHTS
    private const int NoSignal = 0x4000; // MSG_NOSIGNAL
    private const int CloseOnExec = 0x40000000; // MSG_CMSG_CLOEXEC
    private const int ControlTruncated = 8; // MSG_CTRUNC
    private const int Interrupted = 4; // EINTR
    private const int DuplicateCloseOnExec = 1030; // F_DUPFD_CLOEXEC
    private const int HeaderSize = 16; // struct cmsghdr

    /// <summary>Sends bytes, at least one, and descriptors with the first of them.</summary>
    /// <exception cref="IOException">The peer is gone, or takes nothing within the socket's time limit.</exception>
    public static void Send(Socket socket, ReadOnlySpan<byte> bytes, params ReadOnlySpan<SafeFileHandle> descriptors)
    {
        ArgumentNullException.ThrowIfNull(socket);
        ArgumentOutOfRangeException.ThrowIfZero(bytes.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, MostDescriptors);
        byte* control = stackalloc byte[HeaderSize + (MostDescriptors * sizeof(int))];
        *(nuint*)control = (nuint)(HeaderSize + (descriptors.Length * sizeof(int)));
        ((int*)control)[2] = SocketLevel;
        ((int*)control)[3] = Rights;
        for (int i = 0; i < descriptors.Length; i++)
        {
            ((int*)(control + HeaderSize))[i] = (int)descriptors[i].DangerousGetHandle();
        }

        // SAFETY: the kernel reads both buffers during the call only.
        fixed (byte* data = bytes)
        {
            Vector vector = new() { Address = data, Length = (nuint)bytes.Length };
            Message message = new()
            {
                Vectors = &vector,
                VectorCount = 1,
                Control = descriptors.IsEmpty ? null : control,
                ControlLength = descriptors.IsEmpty ? 0 : (nuint)(HeaderSize + Align(descriptors.Length * sizeof(int))),
            };
            nint sent = Retry(socket, &message, &SendMessage, NoSignal);
            if (sent != bytes.Length)
            {
                throw Failure("sendmsg", sent);
            }
        }

        GC.KeepAlive(descriptors.ToArray());
    }

    /// <summary>Receives bytes and the descriptors that came with them.</summary>
    /// <param name="bytes">Is filled from its beginning.</param>
    /// <param name="descriptors">The caller's, close-on-exec.</param>
    /// <returns>Bytes received; 0 at the end of the stream.</returns>
    /// <exception cref="IOException">Nothing came within the socket's time limit, or more descriptors than there is room for.</exception>
    public static int Receive(Socket socket, Span<byte> bytes, out IReadOnlyList<SafeFileHandle> descriptors)
    {
        ArgumentNullException.ThrowIfNull(socket);
        byte* control = stackalloc byte[HeaderSize + (MostDescriptors * sizeof(int))];
        List<SafeFileHandle> received = [];
        descriptors = received;

        // SAFETY: the kernel writes both buffers during the call only, no further than their lengths.
        fixed (byte* data = bytes)
        {
            Vector vector = new() { Address = data, Length = (nuint)bytes.Length };
            Message message = new()
            {
                Vectors = &vector,
                VectorCount = 1,
                Control = control,
                ControlLength = HeaderSize + (MostDescriptors * sizeof(int)),
            };
            nint count = Retry(socket, &message, &ReceiveMessage, CloseOnExec);
            if (count < 0)
            {
                throw Failure("recvmsg", count);
            }

            if (message.ControlLength >= HeaderSize && ((int*)control)[2] == SocketLevel && ((int*)control)[3] == Rights)
            {
                int number = (int)((*(nuint*)control - HeaderSize) / sizeof(int));
                for (int i = 0; i < number; i++)
                {
                    received.Add(new SafeFileHandle(((int*)(control + HeaderSize))[i], ownsHandle: true));
                }
            }

            if ((message.Flags & ControlTruncated) != 0)
            {
                received.ForEach(one => one.Dispose());
                throw new IOException("more descriptors were sent than are taken");
            }

            return (int)count;
        }
    }

    /// <summary>Another descriptor of the same open file, close-on-exec.</summary>
    /// <exception cref="IOException">There are too many.</exception>
    public static SafeFileHandle Duplicate(SafeFileHandle file)
    {
        ArgumentNullException.ThrowIfNull(file);
        int copy = NativeMemoryCalls.FControl((int)file.DangerousGetHandle(), DuplicateCloseOnExec, 0);
        GC.KeepAlive(file);
        return copy >= 0 ? new SafeFileHandle(copy, ownsHandle: true) : throw Failure("fcntl(F_DUPFD_CLOEXEC)", copy);
    }

    private static int Align(int length) => (length + 7) & ~7;

    private static nint Retry(Socket socket, Message* message, delegate*<int, Message*, int, nint> call, int flags)
    {
        nint result;
        do
        {
            result = call((int)socket.Handle, message, flags);
        }
        while (result < 0 && Marshal.GetLastPInvokeError() == Interrupted);
        return result;
    }

    private static IOException Failure(string what, nint result) =>
        new($"{what}: {(result < 0 ? new Win32Exception(Marshal.GetLastPInvokeError()).Message : $"{result} bytes")}");

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    private static partial nint SendMessage(int socket, Message* message, int flags);

    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    private static partial nint ReceiveMessage(int socket, Message* message, int flags);

    [StructLayout(LayoutKind.Sequential)]
    private struct Vector
    {
        public byte* Address;
        public nuint Length;
    }

    /// <summary>struct msghdr of x86-64.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Message
    {
        public void* Name;
        public uint NameLength;
        public Vector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }
}
