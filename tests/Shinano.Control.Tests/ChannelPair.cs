using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using StreamJsonRpc;

namespace Shinano.Control.Tests;

/// <summary>Both ends of a control channel in one process, over a real unix socket.</summary>
internal sealed class ChannelPair : IAsyncDisposable
{
    private readonly JsonRpc _client;
    private readonly string _path;

    private ChannelPair(JsonRpc client, IDomainProcess domain, RecordingEvents events, FakeDomainProcess process, string path)
    {
        _client = client;
        _path = path;
        Domain = domain;
        Events = events;
        Process = process;
    }

    public IDomainProcess Domain { get; }

    public RecordingEvents Events { get; }

    public FakeDomainProcess Process { get; }

    public static async Task<ChannelPair> OpenAsync()
    {
        string path = Path.Combine(Path.GetTempPath(), $"sh-{Guid.NewGuid():N}"[..16]);
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        Socket client = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await client.ConnectAsync(new UnixDomainSocketEndPoint(path));
        Socket server = await listener.AcceptAsync();

        FakeDomainProcess process = new(FakeDomainProcess.SampleSpec(path));
        (_, process.Events) = DomainControlChannel.Serve(new NetworkStream(server, ownsSocket: true), process);
        RecordingEvents events = new();
        (JsonRpc rpc, IDomainProcess domain) = DomainControlChannel.Connect(new NetworkStream(client, ownsSocket: true), events);
        return new ChannelPair(rpc, domain, events, process, path);
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _client.Completion;
        File.Delete(_path);
    }
}
