using System.Text.Json;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;

namespace Shinano.Control.Daemon.Http;

/// <summary>The one place where failures become HTTP: the body is the <see cref="DomainFailure"/>, the status a rough translation.</summary>
internal static class FailureResults
{
    public static async Task InvokeAsync(HttpContext context, RequestDelegate next, ILogger logger)
    {
        try
        {
            await next(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client went away.
        }
        catch (OperationCanceledException) when (!context.Response.HasStarted)
        {
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            await context.Response.WriteAsJsonAsync(
                new DomainFailure(DomainFailureCode.HostResource, "xend is ending"), ControlJson.Options);
        }
        catch (Exception e) when (e is not OutOfMemoryException && !context.Response.HasStarted)
        {
            DomainFailure failure = Translate(e, logger, context.Request.Path);
            context.Response.StatusCode = StatusOf(failure.Code);
            await context.Response.WriteAsJsonAsync(failure, ControlJson.Options);
        }
    }

    public static DomainFailure Translate(Exception exception, ILogger logger, string what)
    {
        switch (exception)
        {
            case DomainFailureException failure:
                return failure.Failure;
            case BadHttpRequestException or JsonException:
                return new DomainFailure(DomainFailureCode.InvalidArgument, exception.Message);
            case IOException or UnauthorizedAccessException:
                logger.LogError(exception, "{What}", what);
                return new DomainFailure(DomainFailureCode.HostResource, exception.Message);
            default:
                logger.LogError(exception, "{What}", what);
                return new DomainFailure(DomainFailureCode.Internal, $"{exception.GetType().Name}: {exception.Message} (see xend's log)");
        }
    }

    private static int StatusOf(DomainFailureCode code) => code switch
    {
        DomainFailureCode.NoSuchDomain => StatusCodes.Status404NotFound,
        DomainFailureCode.Duplicate or DomainFailureCode.WrongState => StatusCodes.Status409Conflict,
        DomainFailureCode.Internal => StatusCodes.Status500InternalServerError,
        DomainFailureCode.DomainProcessLost => StatusCodes.Status502BadGateway,
        DomainFailureCode.TimedOut => StatusCodes.Status504GatewayTimeout,
        DomainFailureCode.NotSupported => StatusCodes.Status501NotImplemented,
        _ => StatusCodes.Status400BadRequest,
    };
}
