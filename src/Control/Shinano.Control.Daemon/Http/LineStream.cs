using System.Text.Json;
using System.Threading.Channels;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;

namespace Shinano.Control.Daemon.Http;

/// <summary>Answers that tell as it goes what is being done: a line of JSON per event.</summary>
internal static class LineStream
{
    /// <summary>Does the work and writes its events.</summary>
    /// <param name="work">Is handed what writes an event.</param>
    /// <param name="failed">The event of a failure, the last one.</param>
    public static async Task WriteAsync<T>(HttpContext context, ILogger logger, Func<Action<T>, Task> work, Func<DomainFailure, T> failed)
    {
        context.Response.ContentType = "application/x-ndjson";
        Channel<T> events = Channel.CreateUnbounded<T>(new UnboundedChannelOptions { SingleReader = true });
        Task producer = ProduceAsync(events.Writer, work, e => failed(FailureResults.Translate(e, logger, context.Request.Path)));
        try
        {
            await foreach (T item in events.Reader.ReadAllAsync(CancellationToken.None))
            {
                byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(item, ControlJson.Options), (byte)'\n'];
                await context.Response.Body.WriteAsync(line, context.RequestAborted);
                await context.Response.Body.FlushAsync(context.RequestAborted);
            }
        }
        finally
        {
            // A client that has gone cancels the work; what it began is undone before this request ends.
            await producer;
        }
    }

    private static async Task ProduceAsync<T>(ChannelWriter<T> writer, Func<Action<T>, Task> work, Func<Exception, T> failed)
    {
        try
        {
            await work(item => writer.TryWrite(item));
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            writer.TryWrite(failed(e));
        }
        finally
        {
            writer.Complete();
        }
    }
}
