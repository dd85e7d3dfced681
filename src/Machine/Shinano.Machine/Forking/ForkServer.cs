using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Shinano.Control.Api.Domains;
using Shinano.Linux;
using Shinano.Machine.Saving;
using Shinano.SavedState;

namespace Shinano.Machine.Forking;

/// <summary>
/// Gives a frozen domain to the processes of its copies: each shows the token and gets sealed descriptors, from which it can read and which nobody can change. Nothing
/// else is taken from whoever connects.
/// </summary>
/// <remarks>
/// <code>
/// copy                           this process
/// token, 32 hexadecimal digits   version = 1 (8), and with it the descriptors: state, memory's base, its delta if there is one
/// </code>
/// </remarks>
internal sealed class ForkServer : IDisposable
{
    /// <summary>Version of what is sent.</summary>
    public const byte Version = 1;

    /// <summary>Bytes of a token.</summary>
    public const int TokenSize = 32;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly string _path;
    private readonly byte[] _token;
    private readonly SealedMemory _state;
    private readonly FrozenMemory _memory;
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly Lock _lock = new();
    private bool _disposed;

    private ForkServer(ForkOffer offer, SealedMemory state, FrozenMemory memory)
    {
        _path = offer.SocketPath;
        _token = Encoding.ASCII.GetBytes(offer.Token);
        _state = state;
        _memory = memory;
    }

    /// <summary>Fixes a suspended machine's state and memory, and listens.</summary>
    /// <exception cref="DomainFailureException">The machine cannot be copied as it is, or the host refused; the machine is not affected.</exception>
    public static ForkServer Open(PvMachine machine, ForkOffer offer)
    {
        SealedMemory? state = null;
        FrozenMemory? memory = null;
        try
        {
            state = StateOf(machine);
            memory = machine.Domain.Memory.Freeze();
            ForkServer server = new(offer, state, memory);
            server.Listen();
            return server;
        }
        catch (Exception e) when (e is SavedStateException or IOException or SocketException)
        {
            memory?.Dispose();
            state?.Dispose();
            throw new DomainFailureException(
                e is SavedStateException ? DomainFailureCode.NotSupported : DomainFailureCode.HostResource, $"the domain cannot be copied: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
        }

        _listener.Dispose();
        File.Delete(_path);
        _state.Dispose();
        _memory.Dispose();
    }

    private static SealedMemory StateOf(PvMachine machine)
    {
        using MemoryStream buffer = new();
        SectionWriter sections = new(buffer);
        MachineSaver.WriteState(machine, sections, []);
        sections.End();
        return SealedMemory.Create("shinano-state", buffer.Length, file => RandomAccess.Write(file, buffer.GetBuffer().AsSpan(0, (int)buffer.Length), 0));
    }

    private void Listen()
    {
        File.Delete(_path);
        _listener.Bind(new UnixDomainSocketEndPoint(_path));
        File.SetUnixFileMode(_path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        _listener.Listen(64);
        _ = AcceptAsync();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            Socket socket;
            try
            {
                socket = await _listener.AcceptAsync().ConfigureAwait(false);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }

            _ = Task.Run(() => Serve(socket));
        }
    }

    private void Serve(Socket socket)
    {
        using (socket)
        {
            try
            {
                socket.ReceiveTimeout = socket.SendTimeout = (int)Patience.TotalMilliseconds;
                byte[] token = new byte[TokenSize];
                for (int filled = 0; filled < token.Length;)
                {
                    int count = socket.Receive(token.AsSpan(filled));
                    if (count == 0)
                    {
                        return;
                    }

                    filled += count;
                }

                lock (_lock)
                {
                    if (!_disposed && CryptographicOperations.FixedTimeEquals(token, _token))
                    {
                        SafeFileHandle[] descriptors = _memory.Delta is { } delta ? [_state.File, _memory.Base.File, delta.File] : [_state.File, _memory.Base.File];
                        DescriptorPassing.Send(socket, [Version], descriptors);
                    }
                }
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                // The copy has ended; its own process says why.
            }
        }
    }
}
