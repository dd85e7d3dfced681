using Shinano.Machine;

switch (args)
{
    case ["domain", "--spec", string spec]:
        return await DomainCommand.RunAsync(spec).ConfigureAwait(false);
    case ["run", .. string[] options]:
        return await RunCommand.RunAsync(options).ConfigureAwait(false);
    default:
        await Console.Error.WriteLineAsync("usage: Shinano.Machine domain --spec FILE").ConfigureAwait(false);
        await Console.Error.WriteLineAsync("       Shinano.Machine run --kernel FILE [--ramdisk FILE] [--memory 256M] [--vcpus N] [--cmdline TEXT] [--stats]").ConfigureAwait(false);
        return ExitCodes.Usage;
}
