using System.Text.Json;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.SavedState;

namespace Shinano.Control.Daemon.Migration;

/// <summary>The other side of a migration: sections both ways (docs/formats/migration-stream.md). It is hostile. One thread may receive while others send.</summary>
internal sealed class MigrationPeer : IDisposable
{
    /// <summary>What answers at once has this long, as its host may be busy.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    /// <summary>A refusal may be behind much that the other side has sent and still sends.</summary>
    private static readonly TimeSpan RefusalPatience = TimeSpan.FromSeconds(30);

    private readonly Lock _sending = new();
    private readonly Stream _stream;
    private readonly Stream _input;
    private readonly BufferedStream _output;
    private readonly SectionWriter _writer;
    private readonly Timer _watchdog;
    private readonly CountingStream _counter;
    private SectionReader? _reader;

    /// <param name="stream">Closed with this.</param>
    /// <param name="name">For messages.</param>
    public MigrationPeer(Stream stream, string name)
    {
        _stream = stream;
        Name = name;
        _input = new BufferedStream(stream, 1 << 17);
        _counter = new CountingStream(stream);
        _output = new BufferedStream(_counter, 1 << 17);
        _writer = new SectionWriter(_output, SectionFormat.Migration);
        _watchdog = new Timer(_ => Dispose());
    }

    /// <summary>For messages.</summary>
    public string Name { get; }

    /// <summary>Bytes sent.</summary>
    public long BytesSent => _counter.Written;

    /// <summary>Sends a section.</summary>
    /// <exception cref="DomainFailureException">The other side is gone.</exception>
    public void Send(SectionKind kind, ReadOnlySpan<byte> payload)
    {
        try
        {
            lock (_sending)
            {
                _writer.Write(kind, payload);
                _output.Flush();
            }
        }
        catch (Exception e) when (IsLoss(e))
        {
            throw Lost(e);
        }
    }

    /// <summary>Sends a message.</summary>
    /// <exception cref="DomainFailureException">The other side is gone.</exception>
    public void Say<T>(SectionKind kind, T message)
        where T : class => Send(kind, JsonSerializer.SerializeToUtf8Bytes(message, ControlJson.Options));

    /// <summary>Waits for the next section, on the calling thread.</summary>
    /// <exception cref="DomainFailureException">The other side is gone or silent, or sent what makes no sense.</exception>
    public SectionKind Receive(TimeSpan patience, out byte[] payload)
    {
        try
        {
            _watchdog.Change(patience, Timeout.InfiniteTimeSpan);
            _reader ??= new SectionReader(_input, SectionFormat.Migration);
            SectionKind kind = _reader.Read(out payload);
            _watchdog.Change(Timeout.Infinite, Timeout.Infinite);
            return kind;
        }
        catch (SavedStateException e)
        {
            throw SavedFailure.OfStream(e);
        }
        catch (Exception e) when (IsLoss(e))
        {
            throw Lost(e);
        }
    }

    /// <summary>Who receives now waits no longer than this any more.</summary>
    public void Hurry(TimeSpan patience)
    {
        try
        {
            _watchdog.Change(patience, Timeout.InfiniteTimeSpan);
        }
        catch (ObjectDisposedException)
        {
            // Who receives has heard of it.
        }
    }

    /// <summary>Waits for the next section, on a thread of its own.</summary>
    /// <exception cref="DomainFailureException">As <see cref="Receive"/>.</exception>
    public Task<(SectionKind Kind, byte[] Payload)> ReceiveAsync(TimeSpan patience) => Task.Factory.StartNew(
        () => (Receive(patience, out byte[] payload), payload), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>Reads a message.</summary>
    /// <exception cref="DomainFailureException">It makes no sense, is of another kind, or is a refusal.</exception>
    public T Read<T>((SectionKind Kind, byte[] Payload) section, SectionKind expected)
        where T : class
    {
        Demand(section, expected);
        return Parse<T>(section.Payload);
    }

    /// <exception cref="DomainFailureException">The section is of another kind; a refusal's own failure.</exception>
    public void Demand((SectionKind Kind, byte[] Payload) section, SectionKind expected)
    {
        if (section.Kind == SectionKind.Refuse)
        {
            DomainFailure failure = Parse<DomainFailure>(section.Payload);
            throw new DomainFailureException(failure.Code, $"{Name}: {failure.Message}");
        }

        if (section.Kind != expected)
        {
            throw Senseless($"a section {section.Kind} where {expected} should be");
        }
    }

    public static DomainFailureException Senseless(string why) => SavedFailure.OfStream(new SavedStateException(SavedStateError.Senseless, why));

    /// <summary>Says no, and waits until the other side has heard it: what it sent meanwhile is dropped.</summary>
    public async Task RefuseAsync(DomainFailure failure)
    {
        try
        {
            Say(SectionKind.Refuse, failure);
            await Task.Run(() =>
            {
                _watchdog.Change(RefusalPatience, Timeout.InfiniteTimeSpan);
                byte[] dropped = new byte[1 << 16];
                while (_stream.Read(dropped) > 0)
                {
                }
            });
        }
        catch (Exception e) when (e is DomainFailureException || IsLoss(e))
        {
            // It is gone.
        }
    }

    public void Dispose()
    {
        _watchdog.Dispose();
        _stream.Dispose();
    }

    private static bool IsLoss(Exception e) => e is IOException or ObjectDisposedException or InvalidOperationException or NotSupportedException;

    private DomainFailureException Lost(Exception e) => new(DomainFailureCode.MigrationBroken, $"{Name} is gone: {e.Message}", e);

    private static T Parse<T>(byte[] payload)
        where T : class
    {
        try
        {
            return JsonSerializer.Deserialize<T>(payload, ControlJson.Options) ?? throw Senseless("an empty message");
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw Senseless($"a message cannot be read: {e.Message}");
        }
    }
}
