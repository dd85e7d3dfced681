using System.Net.Sockets;
using System.Text;
using Shinano.Control.Api.Domains;
using Shinano.SavedState;

namespace Shinano.Control.FakeDomain;

/// <summary>What the double has for a state, on its way to another double: a text in the place of a machine, and pages of nothing.</summary>
internal sealed class FakeState
{
    private const int Pages = 20;

    private Socket? _socket;
    private SectionWriter? _sections;
    private volatile bool _kept;

    public PreCopyResult BeginSending(string path, bool live)
    {
        _socket = Connect(path);
        _sections = new SectionWriter(new NetworkStream(_socket), SectionFormat.Migration);
        _sections.Write(SectionKind.Head, "a double"u8);
        for (int i = 0; live && i < Pages; i++)
        {
            _sections.Write(SectionKind.Pages, new byte[4096]);
        }

        return live ? new PreCopyResult(1, Pages, 1) : new PreCopyResult(0, 0, 0);
    }

    public long SendRest(string state)
    {
        _sections!.Write(SectionKind.Machine, Encoding.UTF8.GetBytes(state));
        _sections.Write(SectionKind.Rings, []);
        _sections.Write(SectionKind.Clock, []);
        _sections.Write(SectionKind.Pages, new byte[4096]);
        _sections.End();
        return 1;
    }

    public void StopSending() => Interlocked.Exchange(ref _socket, null)?.Dispose();

    public string Receive(string path)
    {
        _socket = Connect(path);
        string? state = null;
        try
        {
            SectionReader sections = new(new NetworkStream(_socket), SectionFormat.Migration);
            SectionKind kind;
            while ((kind = sections.Read(out byte[] payload)) != SectionKind.End)
            {
                state = kind == SectionKind.Machine ? Encoding.UTF8.GetString(payload) : state;
            }

            StateReader.Demand(state is not null && !state.Contains('!', StringComparison.Ordinal), "no double has such a state");
            return state!;
        }
        catch (SavedStateException e)
        {
            // As a real one: whoever sends finds nobody there any more.
            _socket.Dispose();
            throw SavedFailure.OfStream(e);
        }
    }

    public void Keep()
    {
        _kept = true;
        StopSending();
    }

    /// <summary>Completes when the sender has gone before <see cref="Keep"/>; is cancelled otherwise.</summary>
    public async Task LossAsync()
    {
        try
        {
            await _socket!.ReceiveAsync(new byte[1]);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // As the end.
        }

        if (_kept)
        {
            throw new OperationCanceledException();
        }
    }

    private static Socket Connect(string path)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(path));
        return socket;
    }
}
